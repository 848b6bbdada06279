"""The metrics that all services share. Rate, errors and duration per route come from Litestar's own middleware."""

from prometheus_client import Counter, Gauge, Histogram

BATCH_SIZE = Histogram(
    "cartwright_batch_size", "Items that went together.", ["batcher"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
JOURNAL_LAG = Gauge("cartwright_journal_lag_events", "Events in the journal that the broker does not have yet.")
JOURNAL_OLDEST = Gauge("cartwright_journal_oldest_unpublished_seconds", "Age of the oldest unpublished event.")
EVENTS_PUBLISHED = Counter("cartwright_events_published_total", "Events that the broker has confirmed.")
EVENTS_HANDLED = Counter("cartwright_events_handled_total", "Events whose effect is committed.", ["group", "type"])
EVENTS_REPEATED = Counter("cartwright_events_repeated_total", "Deliveries that were known already.", ["group"])
DEAD_LETTERS = Counter("cartwright_dead_letters_total", "Events that failed for good.", ["group", "type"])
BREAKER_OPEN = Gauge(
    "cartwright_breaker_open", "1 while calls to this replica are held back, else 0.", ["target", "address"]
)
CALLS = Counter("cartwright_calls_total", "Calls to other services.", ["target", "path", "outcome"])
CALL_SECONDS = Histogram("cartwright_call_seconds", "Duration of calls to other services.", ["target", "path"])
