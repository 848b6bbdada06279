"""All SQL of catalog, one module per table group."""
