"""The metrics of this service, beside those that all services share."""

from prometheus_client import Counter, Histogram

PROVIDER_ANSWERS = Counter(
    "cartwright_provider_answers_total", "Answers of the payment provider.", ["operation", "answer"]
)
PROVIDER_SECONDS = Histogram("cartwright_provider_seconds", "Duration of calls to the provider.", ["operation"])
PAYMENT_FACTS = Counter("cartwright_payment_facts_total", "What became of payments.", ["fact"])
PAYMENT_ANOMALIES = Counter("cartwright_payment_anomalies_total", "What no payment should meet with.")
