"""How popular a song is."""
