"""A model asked in an environment of other releases: `teller` runs there, `wire` is between."""
