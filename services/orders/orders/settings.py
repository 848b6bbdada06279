"""The settings of the orders service."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Times in seconds."""

    port: int = 8093
    catalog_url: str
    payments_url: str
    wait_s: float = 2.0
    """How long a purchase request waits for the end of its order before it gets 202."""
    lease_s: float = 5.0
    """The time before another replica may take up an order."""
    deadline_s: float = 900.0
    """How long an order may stay pending before its compensation begins."""
    sweep_s: float = 0.25
    """The pause between two polls for orders whose lease has run out."""
    streams_max: int = 500
    """The limit of open streams."""
    streams_per_user_max: int = 10
    """The limit of open streams of one user."""
