"""May a version serve? Judged in a process of its own; what workers open is left on disk."""
