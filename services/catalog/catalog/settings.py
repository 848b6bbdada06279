"""The settings of the catalog service."""

from chassis.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    """The settings of every service, and the demo shop."""

    port: int = 8092
    demo_shop: str = ""
    """The path of a data file that fills an empty catalog at the start; no demo shop when empty."""
