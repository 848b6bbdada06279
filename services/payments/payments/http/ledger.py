"""The ledger, read by administrators."""

from typing import Annotated
from uuid import UUID

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from chassis.persistence.database import Connection, Database, Row
from chassis.security import access
from chassis.values.money import money
from chassis.web.pages import Cursor, Limit, key_of, page_of
from payments import store
from payments.http.schemas import Balance, LedgerEntry, LedgerPage

PaymentId = Annotated[UUID | None, QueryParameter(name="payment_id", description="Only entries of this payment.")]


def routes(database: Database) -> list[HTTPRouteHandler]:
    @get("/ledger", guards=[access.administrator], tags=["ledger"], summary="Entries, and the balance of each account")
    async def read_ledger(payment_id: PaymentId = None, limit: Limit = 20, cursor: Cursor = None) -> LedgerPage:
        before = key_of(cursor, int)

        async def query(connection: Connection) -> tuple[list[Row], list[Row]]:
            entries = await store.ledger.read_entries(connection, payment_id, before, limit + 1)
            return entries, await store.ledger.read_balances(connection)

        entries, balances = await database.read(query)
        page = page_of(entries, limit, lambda row: row["position"]).map(_entry)
        return LedgerPage(
            items=page.items,
            next_cursor=page.next_cursor,
            balances=[
                Balance(account=row["account"], balance=money(row["balance_minor"], row["currency"]))
                for row in balances
            ],
        )

    return [read_ledger]


def _entry(row: Row) -> LedgerEntry:
    return LedgerEntry(
        transaction_id=row["transaction_id"],
        payment_id=row["payment_id"],
        account=row["account"],
        amount=money(row["amount_minor"], row["currency"]),
        actor=row["actor"],
        booked_at=row["booked_at"],
    )
