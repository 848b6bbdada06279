"""Chooses what an order is paid with: the token that it names, a method that the buyer saved, or the default."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from chassis.persistence.database import Database, Row
from payments import store
from payments.domain.payment_provider import Card
from payments.messages import AuthorizeItem
from payments.providers.provider_client import ProviderCalls


class Chosen(msgspec.Struct, frozen=True):
    token: str
    card: Card


class ChooseMethod:
    """`default_token` is for buyers who have saved nothing."""

    def __init__(self, database: Database, provider: ProviderCalls, default_token: str) -> None:
        self._database = database
        self._provider = provider
        self._default_token = default_token

    async def for_orders(self, items: Sequence[AuthorizeItem]) -> dict[AuthorizeItem, Chosen | None]:
        """The method of each item; None where there is none by that name. Raises `Unavailable`."""
        named = {item: _as_id(item.payment_method) for item in items}
        # A token needs no look at what is saved, which is most orders at high load.
        asking = [item for item in items if item.payment_method is None or named[item] is not None]
        saved: dict[tuple[UUID, UUID], Row] = {}
        defaults: dict[UUID, Row] = {}
        if asking:
            user_ids = list({item.user_id for item in asking})
            method_ids = [id_ for item in asking if (id_ := named[item]) is not None]
            saved, defaults = await self._database.read(
                lambda connection: store.payment_methods.find_for_orders(connection, user_ids, method_ids)
            )
        cards: dict[str, Card | None] = {}
        chosen: dict[AuthorizeItem, Chosen | None] = {}
        for item in items:
            method_id = named[item]
            if method_id is not None:
                chosen[item] = _chosen(saved.get((item.user_id, method_id)))
            elif item.payment_method is None and item.user_id in defaults:
                chosen[item] = _chosen(defaults[item.user_id])
            else:
                token = self._default_token if item.payment_method is None else item.payment_method
                if token not in cards:
                    cards[token] = await self._provider.describe(token)
                card = cards[token]
                chosen[item] = None if card is None else Chosen(token, card)
        return chosen


def _chosen(row: Row | None) -> Chosen | None:
    return None if row is None else Chosen(row["token"], Card(row["brand"], row["last4"]))


def _as_id(method: str | None) -> UUID | None:
    try:
        return None if method is None else UUID(method)
    except ValueError:
        return None
