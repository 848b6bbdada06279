"""The stock ledger of a product: its entries, and new ones by administrators."""

from uuid import UUID

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody

from catalog.adjust_stock import adjust_stock
from catalog.creation import Creation
from catalog.http.schemas import AdjustStock, StockAdjustment
from catalog.list_stock_adjustments import list_stock_adjustments
from chassis.persistence.database import Database
from chassis.security import access
from chassis.web.idempotency import IdempotencyKey
from chassis.web.pages import Cursor, Limit, Page
from chassis.web.requests import CallerRequest


class AdjustmentIdentity(msgspec.Struct, frozen=True):
    """The parts of a request that a repeated request under its key must have in common with it."""

    product_id: UUID
    request: AdjustStock


def routes(database: Database) -> list[HTTPRouteHandler]:
    @post("/products/{product_id:uuid}/stock-adjustments", guards=[access.administrator], summary="Adjust the stock")
    async def post_adjustment(
        request: CallerRequest,
        product_id: FromPath[UUID],
        data: JSONBody[AdjustStock],
        idempotency_key: IdempotencyKey = None,
    ) -> StockAdjustment:
        """Put stock in, or take some out (negative)."""
        fields = data.normalized()
        creation = Creation.of(AdjustmentIdentity(product_id, fields), request.user.user_id, idempotency_key)
        adjustment = await adjust_stock(database, product_id, fields.quantity, fields.reason, creation)
        return StockAdjustment.of(adjustment)

    @get(
        "/products/{product_id:uuid}/stock-adjustments",
        guards=[access.administrator],
        summary="List the adjustments of the stock",
    )
    async def get_adjustments(
        product_id: FromPath[UUID], limit: Limit = 20, cursor: Cursor = None
    ) -> Page[StockAdjustment]:
        """The stock ledger of a product, the newest entry first."""
        page = await list_stock_adjustments(database, product_id, cursor, limit)
        return page.map(StockAdjustment.of)

    return [post_adjustment, get_adjustments]
