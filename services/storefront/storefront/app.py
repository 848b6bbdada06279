"""Puts the storefront together."""

from pathlib import Path

from litestar import Litestar

from chassis.security.revocations import RevocationFollower
from chassis.security.tokens import TokenVerifier
from chassis.web.application import application
from storefront.clients.openapi_documents import OpenApiDocuments
from storefront.clients.services import peers_of
from storefront.http import order_details, pages
from storefront.reference.contracts import read_contracts
from storefront.settings import Settings

VERSION = "1.0.0"


def build(settings: Settings) -> Litestar:
    peers = peers_of(settings)
    revocations = RevocationFollower(peers.users)
    documents = OpenApiDocuments(peers.by_name())
    contracts = read_contracts(Path(settings.contracts_dir))

    async def is_healthy() -> bool:
        # It keeps nothing of its own, and goes on with what is left when others are down.
        return True

    app = application(
        name="storefront",
        description="Joins the answers of the others: order details in one call, and the web pages.",
        version=VERSION,
        routes=[*order_details.routes(peers), *pages.routes(peers, documents, contracts, VERSION)],
        parts=[*peers.by_name().values(), revocations],
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
