"""Servers, databases and whole systems for tests, for chaos and for the bench: started for a while, then removed."""
