"""The data of the storefront, and the documents of the reference. No I/O."""
