"""The settings of the payments service."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """The settings that every service has; only the default port is its own."""

    port: int = 8094
