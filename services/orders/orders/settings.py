"""What the orders service is told at start."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Times in seconds."""

    port: int = 8093
    catalog_url: str
    payments_url: str
    wait_s: float = 2.0
    """How long the answer to a purchase may wait for its end before it is 202."""
    lease_s: float = 5.0
    """How long a replica has for an order before any other may take it up."""
    deadline_s: float = 900.0
    """How long an order may stay pending before its saga turns round."""
    sweep_s: float = 0.25
    """How often orders whose lease has run out are looked for."""
    streams_max: int = 500
    """How many clients may follow orders at once."""
    streams_per_user_max: int = 10
    """How many of them may be of one user."""
