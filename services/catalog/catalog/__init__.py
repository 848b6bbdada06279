"""Catalog owns products, categories, prices, stock and reservations: what is there, at what price, and is it left?

It never knows who buys, how orders come about or who pays: to it an order is an id that holds some of the stock.
"""
