"""The rules of catalog: products, stock, reservations and the terms of a search. No I/O."""
