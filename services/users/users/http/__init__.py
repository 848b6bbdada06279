"""The HTTP interface of users, one module per area."""
