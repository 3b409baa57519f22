"""What a release gets and answers, counted beside what its version was trained with."""
