"""Calls to the other services, and the folder of contracts."""
