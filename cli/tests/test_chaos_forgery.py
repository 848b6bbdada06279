"""Forged events of a chaos run: well-formed, refused by the signature check, and caught where one has an effect."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest

from cartwright.chaos import forgery
from cartwright.chaos.event_stream import StreamMessage
from cartwright.chaos.forgery import OTHER_SIGNER, OTHER_TYPE, TAMPERED, UNSIGNED, Forgeries, Forgery, forge
from cartwright.launcher.broker_logins import FAMILIES
from cartwright.launcher.layout import CONSUMERS
from cartwright.launcher.system import System, make_data_folder, make_system
from cartwright.verifier.findings import Findings
from cartwright.verifier.quiet import CONSUMED_BY
from chassis.messaging.envelope import Envelope, encode_batch, split
from chassis.messaging.signed_broker import ANOTHER_TYPE, BAD_SIGNATURE, NOT_THE_OWNER, Origins, Signer
from chassis.messaging.signed_broker import UNSIGNED as NO_SIGNATURE

OWNERS = {family: service for service, families in FAMILIES.items() for family in families}
REASONS = {UNSIGNED: NO_SIGNATURE, OTHER_SIGNER: NOT_THE_OWNER, TAMPERED: BAD_SIGNATURE, OTHER_TYPE: ANOTHER_TYPE}


@pytest.fixture
def genuine(make_event: Callable[..., Envelope], service_keys: dict[str, str]) -> list[StreamMessage]:
    """A batch of two cancellations, and a confirmation."""
    cancelled = encode_batch([make_event("order.cancelled"), make_event("order.cancelled")])
    confirmed = encode_batch([make_event("order.confirmed")])
    sign = Signer("orders", service_keys["orders"]).sign
    return [
        StreamMessage("order.cancelled", cancelled, sign(cancelled)),
        StreamMessage("order.confirmed", confirmed, sign(confirmed)),
    ]


@pytest.fixture
def forgeries(genuine: list[StreamMessage], service_keys: dict[str, str]) -> list[Forgery]:
    return forge("orders", genuine, service_keys, random.Random(1))


def members(message: StreamMessage) -> list[dict[str, Any]]:
    return [msgspec.json.decode(event) for event in split(message.body)]


def test_each_message_is_forged_in_every_way(forgeries: list[Forgery]) -> None:
    assert Counter(each.kind for each in forgeries) == dict.fromkeys(REASONS, 2)


def test_a_forged_event_is_well_formed_and_about_another_order_under_a_new_id(
    genuine: list[StreamMessage], forgeries: list[Forgery]
) -> None:
    known = [event for message in genuine for event in members(message)]
    for each in forgeries:
        if each.kind != OTHER_TYPE:
            (event,) = members(each.message)
            assert UUID(event["id"]) == each.event_id
            assert event["id"] not in {other["id"] for other in known}
            assert event["subject"] in {other["subject"] for other in known}
            assert event["type"] == each.message.type


def test_the_signature_check_refuses_each_for_the_groups_that_are_expected_to(
    forgeries: list[Forgery], service_jwks: str
) -> None:
    origins = Origins(service_jwks, OWNERS)
    for each in forgeries:
        assert each.refused_by or each.kind == OTHER_TYPE
        for group in each.refused_by:
            refusal = origins.refusal(each.message.signature, each.message.body, CONSUMED_BY[group])
            assert refusal == REASONS[each.kind], each


class PlantedEffect:
    """Stands for the databases: a consumer has accepted one event."""

    def __init__(self, service: str, table: str, event_id: UUID | None) -> None:
        self._planted = service, table
        self._event_id = event_id

    async def rows(self, service: str, query: str, ids: list[UUID]) -> list[tuple[UUID | None]]:
        service_planted, table = self._planted
        return [(self._event_id,)] if service == service_planted and f"FROM {table} " in query else []


@pytest.mark.parametrize("service", CONSUMERS)
@pytest.mark.parametrize("table", ["inbox", "dead_letters"])
async def test_an_effect_of_a_forged_event_is_found(service: str, table: str, forgeries: list[Forgery]) -> None:
    findings = Findings(0.0)
    planted: Any = PlantedEffect(service, table, forgeries[0].event_id)
    await forgery.find_effects(planted, forgeries, findings)
    (violation,) = findings.violations.values()
    assert violation.id == str(forgeries[0].event_id)
    assert violation.rule == "a forged event had an effect"


async def test_a_group_that_does_not_count_what_it_refuses_is_found(
    tmp_path: Any, genuine: list[StreamMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system(make_data_folder(tmp_path), 8080, None)

    async def publish(self: Forgeries, publisher: str, draw: random.Random) -> str:
        if publisher == "orders":
            self.published += forge(publisher, genuine, system.credentials.service_keys, draw)
        return ""

    async def refused_by_group(_: System) -> Counter[str]:
        return Counter()

    monkeypatch.setattr(Forgeries, "publish", publish)
    monkeypatch.setattr(forgery, "refused_by_group", refused_by_group)
    monkeypatch.setattr(forgery, "COUNT_S_MAX", 0.0)
    forged = Forgeries(system, seed=1)
    await forged.publish_and_count()
    nothing: Any = PlantedEffect("", "", None)
    violations = (await forged.check(nothing)).violations.values()
    assert {each.rule for each in violations} == {"forged events were not counted as refused"}
    assert {each.id for each in violations} >= {"payments", "notifications", "audit"}
