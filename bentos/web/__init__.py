"""HTTP: endpoints that are checked, guarded, described and counted."""
