"""Training: one package for each model family; `python -m training.<family>`."""
