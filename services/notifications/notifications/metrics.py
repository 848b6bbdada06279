"""The metrics of this service, beside those that all services share."""

from prometheus_client import Counter, Gauge

MAILS = Counter("cartwright_mails_total", "Attempts to send a mail: sent, put_off or given_up.", ["outcome"])
MAILS_PENDING = Gauge("cartwright_mails_pending", "Mails that have yet to be sent.")
OLDEST_MAIL = Gauge("cartwright_mails_oldest_pending_seconds", "Age of the oldest mail that has yet to be sent.")
