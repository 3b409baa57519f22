"""The one client of MLflow, and the names of our tags."""
