"""Hashes passwords with bounded processor time and memory, fairly between sources."""
