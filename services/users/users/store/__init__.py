"""All SQL of users, one module per table group."""
