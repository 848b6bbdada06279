"""Chooses the payment method of each order: the token it names, a method that the buyer saved, or the default."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from chassis.persistence.database import Database, Row
from payments import store
from payments.clients.provider_client import ProviderClient
from payments.domain.order_requests import PaymentRequest
from payments.domain.payment_provider import Card


class PaymentMethod(msgspec.Struct, frozen=True):
    """A token, and the card behind it."""

    token: str
    card: Card


async def choose_payment_methods(
    database: Database, provider: ProviderClient, requests: Sequence[PaymentRequest], *, default_token: str
) -> list[PaymentMethod | None]:
    """The method of each request, in order; None where the named method does not exist. Raises `Unavailable`.

    `default_token` is for buyers without a saved method.
    """
    method_ids = [_as_id(request.payment_method) for request in requests]
    # An order that names a token needs no query. At high load these are most orders.
    to_query = [
        (request.user_id, method_id)
        for request, method_id in zip(requests, method_ids, strict=True)
        if request.payment_method is None or method_id is not None
    ]
    saved: dict[tuple[UUID, UUID], Row] = {}
    defaults: dict[UUID, Row] = {}
    if to_query:
        user_ids = list({user_id for user_id, _ in to_query})
        named_ids = [method_id for _, method_id in to_query if method_id is not None]
        saved, defaults = await database.read(
            lambda connection: store.payment_methods.find_for_orders(connection, user_ids, named_ids)
        )
    by_token: dict[str, PaymentMethod | None] = {}
    chosen: list[PaymentMethod | None] = []
    for request, method_id in zip(requests, method_ids, strict=True):
        if method_id is not None:
            chosen.append(_saved_method(saved.get((request.user_id, method_id))))
        elif request.payment_method is None and request.user_id in defaults:
            chosen.append(_saved_method(defaults[request.user_id]))
        else:
            token = default_token if request.payment_method is None else request.payment_method
            if token not in by_token:
                card = await provider.describe(token)
                by_token[token] = None if card is None else PaymentMethod(token, card)
            chosen.append(by_token[token])
    return chosen


def _saved_method(row: Row | None) -> PaymentMethod | None:
    return None if row is None else PaymentMethod(row["token"], Card(row["brand"], row["last4"]))


def _as_id(method: str | None) -> UUID | None:
    try:
        return None if method is None else UUID(method)
    except ValueError:
        return None
