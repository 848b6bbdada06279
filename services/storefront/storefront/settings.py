"""The settings of the storefront, beside those of every service."""

from pathlib import Path

from chassis.settings import StatelessSettings

CONTRACTS = Path(__file__).parents[3] / "contracts"


class Settings(StatelessSettings, frozen=True, kw_only=True):
    port: int = 8097
    catalog_url: str
    orders_url: str
    payments_url: str
    notifications_url: str
    audit_url: str
    contracts_dir: str = str(CONTRACTS)
    """The folder of the contracts, from which the event reference is made. By default that of the repository."""
