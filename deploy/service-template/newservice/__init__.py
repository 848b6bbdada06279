"""The newservice service: it stores the entries of users."""
