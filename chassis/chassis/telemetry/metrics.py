"""The metrics that all services share."""

from prometheus_client import Counter, Gauge, Histogram

REQUEST_SECONDS = Histogram(
    "cartwright_http_request_duration_seconds",
    "Requests: their rate, errors and duration, by the template of their path.",
    ["method", "path", "status"],
)
BATCH_SIZE = Histogram(
    "cartwright_batch_size", "Items that went together.", ["batcher"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
READY = Gauge("cartwright_ready", "1 while the service may get traffic, else 0; asked at each scrape.")
JOURNAL_LAG = Gauge(
    "cartwright_journal_lag_events",
    "Events in the journal that the broker does not have yet, as far as one batch goes.",
)
JOURNAL_OLDEST = Gauge("cartwright_journal_oldest_unpublished_seconds", "Age of the oldest unpublished event.")
EVENTS_PUBLISHED = Counter("cartwright_events_published_total", "Events that the broker has confirmed.")
EVENTS_HANDLED = Counter("cartwright_events_handled_total", "Events whose effect is committed.", ["group", "type"])
EVENTS_REPEATED = Counter("cartwright_events_repeated_total", "Deliveries that were known already.", ["group"])
EVENTS_REFUSED = Counter(
    "cartwright_messages_refused_total", "Messages that are not from the owner of their events.", ["group", "reason"]
)
MESSAGES_WAITING = Gauge(
    "cartwright_messages_waiting", "Messages, of one event or many, that wait for the group at the broker.", ["group"]
)
DEAD_LETTERS_KEPT = Gauge("cartwright_dead_letters_kept", "Dead letters that nobody has redriven yet.", ["group"])
DEAD_LETTERS = Counter("cartwright_dead_letters_total", "Events that failed for good.", ["group", "type"])
REVOCATIONS_AGE = Gauge(
    "cartwright_revocations_age_seconds",
    "Time since users last told which access tokens are revoked; since the start, when it has not yet.",
)
BREAKER_OPEN = Gauge(
    "cartwright_breaker_open", "1 while calls to this replica are held back, else 0.", ["target", "address"]
)
CALLS = Counter("cartwright_calls_total", "Calls to other services.", ["target", "path", "outcome"])
CALL_SECONDS = Histogram("cartwright_call_seconds", "Duration of calls to other services.", ["target", "path"])


_requests: dict[tuple[str, str, int], Histogram] = {}


def observe_request(method: str, path_template: str | None, status: int, seconds: float) -> None:
    """Count a request that was answered. One without a route counts under no method and path: both are its sender's.

    Looking a labelled metric up takes most of what counting costs, so each is looked up once.
    """
    key = (method, path_template, status) if path_template is not None else ("", "", status)
    if key not in _requests:
        _requests[key] = REQUEST_SECONDS.labels(*key)
    _requests[key].observe(seconds)
