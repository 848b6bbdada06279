"""The pause before the provider is called again for a payment or a refund whose outcome is not known."""

RETRY_MIN_S = 0.2
RETRY_MAX_S = 10.0


def retry_delay_s(attempts: int) -> float:
    """Doubles with each attempt up to `RETRY_MAX_S`, so that payments are settled soon after the provider is back."""
    return float(min(RETRY_MAX_S, RETRY_MIN_S * 2 ** min(attempts, 10)))
