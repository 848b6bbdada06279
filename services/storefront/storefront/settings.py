"""What the storefront is told at its start."""

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
    """Where the contracts are that the event reference is made from. The default is the repository's own folder."""
