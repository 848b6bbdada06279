"""The payments service: payment methods, payments, refunds and the ledger.

It owns what is held, taken and given back for an order. It never decides whether an order stands: it is asked to
authorize and to void, and hears by events that an order was confirmed or cancelled.
"""
