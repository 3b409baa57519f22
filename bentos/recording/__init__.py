"""What was really asked and answered: kept in the bucket, read again, held against the truth."""
