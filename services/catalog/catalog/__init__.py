"""Catalog owns products, categories, prices, stock and reservations: what can be bought, and how much is left?

It knows no buyers and no payments. To catalog an order is an id that holds some of the stock.
"""
