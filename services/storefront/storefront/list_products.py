"""Lists one page of the products that can be bought, for visitors of the shop."""

from dataclasses import dataclass

from chassis.problems import OutcomeUnknown, Unavailable
from chassis.web.client import RefusedByPeer, refusal_from
from storefront.clients.catalog import ProductPage, read_products
from storefront.clients.services import ServiceClients

PAGE_SIZE = 24
LIST_S_MAX = 1.5


@dataclass(frozen=True)
class Search:
    """The visitor's search. An empty text does not restrict it."""

    text: str = ""
    category: str = ""
    cursor: str = ""


async def list_products(clients: ServiceClients, search: Search) -> ProductPage:
    """Raises `Unavailable`, or the refusal of catalog (of a malformed cursor)."""
    parameters = {"q": search.text, "category": search.category, "cursor": search.cursor}
    query = {name: value for name, value in parameters.items() if value}
    try:
        return await read_products(clients.catalog, query | {"limit": str(PAGE_SIZE)}, timeout_s=LIST_S_MAX)
    except RefusedByPeer as error:
        raise refusal_from(error.problem) from error
    except (Unavailable, OutcomeUnknown) as error:
        raise Unavailable("The products cannot be listed at the moment.") from error
