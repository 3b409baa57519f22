"""A notebook as other people write one: it knows MLflow and the libraries, and nothing of ours."""
