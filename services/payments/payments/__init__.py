"""The payments service: payment methods, payments, refunds and the ledger.

It owns the money that is held, captured and refunded for orders. It never decides about orders: the orders service
calls it to authorize and to void, and its events report that an order was confirmed or cancelled.
"""
