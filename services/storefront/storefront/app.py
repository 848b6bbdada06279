"""The composition root of the storefront."""

from pathlib import Path

from litestar import Litestar

from chassis.security.revocations import RevocationFollower
from chassis.security.tokens import TokenVerifier
from chassis.web.application import application, version_of
from storefront.clients.contracts import read_contracts
from storefront.clients.openapi_documents import OpenApiDocuments
from storefront.clients.services import service_clients
from storefront.http import order_details, reference, shop
from storefront.settings import Settings


def build(settings: Settings) -> Litestar:
    clients = service_clients(settings)
    revocations = RevocationFollower(clients.users)
    documents = OpenApiDocuments(clients.by_name())
    contracts = read_contracts(Path(settings.contracts_dir))

    async def is_healthy() -> bool:
        # It has no database, and answers with the rest when other services are down.
        return True

    app = application(
        name="storefront",
        description="Joins the answers of the other services: order details in one call, and the web pages.",
        routes=[
            *order_details.routes(clients),
            *shop.routes(clients),
            *reference.routes(documents, contracts, version_of("storefront")),
        ],
        parts=[*clients.by_name().values(), revocations],
        verifier=TokenVerifier(
            service="storefront",
            issuer=settings.token_issuer,
            user_keys=revocations.keys,
            rights=revocations,
            service_keys=settings.service_keys,
        ),
        is_healthy=is_healthy,
    )
    documents.add("storefront", app.openapi_schema.to_schema())
    return app
