"""Pages for people: what serves, how it does, and what was promoted when."""
