"""All SQL of this service, one module per table group. Each function runs in the transaction of its connection."""

from orders.store import carts, checkout, customers, orders, payment_events, stuck_orders

__all__ = ["carts", "checkout", "customers", "orders", "payment_events", "stuck_orders"]
