"""The cartwright command."""
