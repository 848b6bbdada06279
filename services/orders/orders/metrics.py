"""The metrics of this service, beside those of the chassis."""

from prometheus_client import Gauge

BACKLOG = Gauge("cartwright_orders_pending", "Orders that have not ended.")
OLDEST = Gauge("cartwright_orders_oldest_pending_seconds", "Age of the oldest order that has not ended.")
