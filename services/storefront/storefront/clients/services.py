"""One client for each service that the storefront calls, with the storefront's own service token."""

from collections.abc import Mapping

import msgspec

from chassis.security.tokens import ServiceTokens
from chassis.web.client import ServiceClient
from storefront.settings import Settings


class ServiceClients(msgspec.Struct, frozen=True):
    users: ServiceClient
    catalog: ServiceClient
    orders: ServiceClient
    payments: ServiceClient
    notifications: ServiceClient
    audit: ServiceClient

    def by_name(self) -> Mapping[str, ServiceClient]:
        return msgspec.structs.asdict(self)


def service_clients(settings: Settings) -> ServiceClients:
    tokens = ServiceTokens("storefront", settings.service_key)
    return ServiceClients(
        users=ServiceClient("users", settings.users_url, tokens),
        catalog=ServiceClient("catalog", settings.catalog_url, tokens),
        orders=ServiceClient("orders", settings.orders_url, tokens),
        payments=ServiceClient("payments", settings.payments_url, tokens),
        notifications=ServiceClient("notifications", settings.notifications_url, tokens),
        audit=ServiceClient("audit", settings.audit_url, tokens),
    )
