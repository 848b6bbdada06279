"""The HTTP interface of catalog, one module per area."""
