"""Background work of users: what runs at the start, and the loops."""
