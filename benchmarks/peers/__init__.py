"""What we are compared with: the same registered models, served as their tutorials do."""
