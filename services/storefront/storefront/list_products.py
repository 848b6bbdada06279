"""Use case: one page of the products that can be bought, for whoever looks at the shop."""

import msgspec

from chassis.problems import OutcomeUnknown, Unavailable
from chassis.web.client import RefusedByPeer, refusal_from
from storefront.clients.services import Peers
from storefront.http.schemas import ProductPage

PAGE_SIZE = 24
LIST_S_MAX = 1.5


class Search(msgspec.Struct, frozen=True):
    """What the visitor asked for; empty texts ask for everything."""

    text: str = ""
    category: str = ""
    cursor: str = ""


async def list_products(peers: Peers, search: Search) -> ProductPage:
    """Raises `Unavailable` when catalog does not answer, and what catalog refuses with (a cursor that is none)."""
    given = {"q": search.text, "category": search.category, "cursor": search.cursor}
    query = {name: value for name, value in given.items() if value}
    try:
        return await peers.catalog.call(
            "GET",
            "/products",
            ProductPage,
            query=query | {"limit": str(PAGE_SIZE)},
            idempotent=True,
            timeout_s=LIST_S_MAX,
        )
    except RefusedByPeer as error:
        raise refusal_from(error.problem) from error
    except (Unavailable, OutcomeUnknown) as error:
        raise Unavailable("The products cannot be listed at the moment.") from error
