"""The HTTP interface of the storefront, one module per area."""
