"""The metrics of this service, beside those that all services share."""

from prometheus_client import Counter, Histogram

PROVIDER_ANSWERS = Counter(
    "cartwright_provider_answers_total", "Answers of the payment provider.", ["operation", "answer"]
)
PROVIDER_SECONDS = Histogram("cartwright_provider_seconds", "Duration of calls to the payment provider.", ["operation"])
PAYMENT_EVENTS = Counter("cartwright_payment_facts_total", "State changes of payments, by event type.", ["fact"])
PAYMENT_ANOMALIES = Counter(
    "cartwright_payment_anomalies_total", "Transitions of payments that the services' protocol excludes."
)
