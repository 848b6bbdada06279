"""The routes to the signed heads of the chain, and to the keys that verify them. For administrators."""

from litestar import get
from litestar.handlers import HTTPRouteHandler

from audit.head_signer import HeadSigner
from audit.http.audit_record import Position
from audit.http.schemas import HeadKeys, KeptHead
from audit.store import signed_heads
from chassis.persistence.database import Database
from chassis.security import access
from chassis.web.pages import Cursor, Limit, Page, key_of, page_of


def routes(database: Database, signer: HeadSigner) -> list[HTTPRouteHandler]:
    @get("/audit/heads", guards=[access.administrator], summary="The signed heads of the chain, oldest first")
    async def list_heads(limit: Limit = 20, cursor: Cursor = None) -> Page[KeptHead]:
        after = key_of(cursor, Position) or 0
        stored = await database.read(lambda c: signed_heads.read_statements(c, after, limit + 1))
        page = page_of(stored, limit, lambda row: row.id)
        return page.map(lambda row: KeptHead(head=signer.read(row.statement), statement=row.statement))

    @get("/audit/keys", guards=[access.administrator], summary="The public keys by which signed heads are verified")
    async def show_keys() -> HeadKeys:
        return HeadKeys(keys=signer.public_keys["keys"])

    return [list_heads, show_keys]
