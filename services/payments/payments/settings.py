"""What the payments service is told at its start."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """Beside what every service is told."""

    port: int = 8094
