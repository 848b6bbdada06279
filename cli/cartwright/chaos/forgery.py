"""Forged events: an intruder with a broker login and the signing key of one service publishes what is not theirs.

Promise 14: an event has an effect only if it comes from its owner. Forgeries are built from messages that the broker
holds, so that each is well-formed, and would change the state of a real order or account.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from uuid import UUID

import aiohttp
import msgspec
from uuid_utils.compat import uuid7

from cartwright.chaos.event_stream import BROKER_ERRORS, EventStream, StreamMessage
from cartwright.launcher.layout import CONSUMERS, PUBLISHERS
from cartwright.launcher.system import System
from cartwright.verifier.findings import Findings
from cartwright.verifier.quiet import CONSUMED_BY
from cartwright.verifier.snapshots import Snapshots
from chassis.messaging import envelope
from chassis.messaging.signed_broker import Signer

ORIGIN = 14
ORIGIN_SAYS = "nobody acts with a right that was taken away; an event has an effect only if its owner signed it"
UNSIGNED, OTHER_SIGNER, TAMPERED, OTHER_TYPE = "unsigned", "signed by another service", "tampered", "of another type"
MESSAGES_MAX = 8
COUNT_S_MAX = 30.0
POLL_S = 0.25
METRIC = "cartwright_messages_refused_total{"

# What a consumer leaves of an event that it has accepted.
_TRACES = {
    "inbox": "SELECT event_id FROM inbox WHERE event_id = ANY ($1::uuid[])",
    "dead letters": "SELECT event_id FROM dead_letters WHERE event_id = ANY ($1::uuid[])",
}
_ENTRIES = "SELECT event_id FROM entries WHERE event_id = ANY ($1::uuid[])"


class _Event(msgspec.Struct):
    id: str
    type: str
    subject: str


@dataclass(frozen=True, slots=True)
class Forgery:
    """`event_id` is one that no service has emitted; None where the event itself is genuine."""

    kind: str
    message: StreamMessage
    event_id: UUID | None

    @property
    def refused_by(self) -> list[str]:
        """The groups that get the message and have to refuse it."""
        types = [_events(self.message.body)[0][1].type] if self.kind == OTHER_TYPE else []
        return [
            group
            for group in CONSUMERS
            if _listens(group, self.message.type) and not any(_listens(group, type_) for type_ in types)
        ]


def forge(
    publisher: str, messages: Sequence[StreamMessage], service_keys: Mapping[str, str], draw: random.Random
) -> list[Forgery]:
    """Each message in all four kinds. A forged event is about another order or account than the genuine one."""
    forgeries = []
    subjects = sorted({event.subject for message in messages for _, event in _events(message.body)})
    types = sorted({type_ for group in CONSUMERS for type_ in CONSUMED_BY[group]} - {"*"})
    for message in messages:
        raw, event = draw.choice(_events(message.body))
        victim = draw.choice([subject for subject in subjects if subject != event.subject] or subjects)
        intruder = draw.choice([service for service in service_keys if service != publisher])
        sign = Signer(intruder, service_keys[intruder]).sign
        for kind in (UNSIGNED, OTHER_SIGNER, TAMPERED):
            event_id = uuid7()
            body = raw.replace(event.id.encode(), str(event_id).encode())
            body = body.replace(event.subject.encode(), victim.encode())
            signature = {UNSIGNED: "", OTHER_SIGNER: sign(body), TAMPERED: message.signature}[kind]
            forgeries.append(Forgery(kind, StreamMessage(event.type, body, signature), event_id))
        other_type = draw.choice([type_ for type_ in types if type_ != message.type])
        forgeries.append(Forgery(OTHER_TYPE, StreamMessage(other_type, message.body, message.signature), None))
    return forgeries


class Forgeries:
    """All forgeries of a run: `publish` is the fault, `publish_and_count` the last round, `check` the verdict."""

    def __init__(self, system: System, seed: int) -> None:
        self._system = system
        self._seed = seed
        self.published: list[Forgery] = []
        self.uncounted: dict[str, str] = {}
        """Groups that did not count what they were sent in the last round, and how many they did."""

    async def publish(self, publisher: str, draw: random.Random) -> str:
        """Returns why not all were published, where that was impossible."""
        try:
            async with EventStream(self._system) as stream:
                messages = await stream.sample(publisher, draw, MESSAGES_MAX)
                for forgery in forge(publisher, messages, self._system.credentials.service_keys, draw):
                    # A publication that failed may have reached the broker.
                    self.published.append(forgery)
                    await stream.publish(forgery.message)
        except BROKER_ERRORS as error:
            return f"not all events were forged: {type(error).__name__}"
        return "" if messages else "the broker held no event"

    async def publish_and_count(self) -> None:
        """Publishes forgeries of every service, and waits until each group has counted those that it gets.

        Only for a healed system: a replica that is killed loses its counters.
        """
        draw = random.Random(f"{self._seed} forged")  # noqa: S311 - to be repeated, not to be secret.
        before = await refused_by_group(self._system)
        first = len(self.published)
        notes = [await self.publish(publisher, draw) for publisher in PUBLISHERS]
        expected = Counter(group for forgery in self.published[first:] for group in forgery.refused_by)
        if not expected or any(note.startswith("not all") for note in notes):
            self.uncounted["all groups"] = ", ".join(filter(None, notes)) or "no event was forged"
            return
        deadline = time.monotonic() + COUNT_S_MAX
        while True:
            counted = await refused_by_group(self._system) - before
            missing = {
                group: f"{counted[group]} of {count}" for group, count in expected.items() if counted[group] < count
            }
            if not missing or time.monotonic() > deadline:
                break
            await asyncio.sleep(POLL_S)
        self.uncounted = missing

    async def check(self, snapshots: Snapshots) -> Findings:
        findings = Findings(0.0)
        await find_effects(snapshots, self.published, findings)
        for group, detail in self.uncounted.items():
            findings.violated("forged events were not counted as refused", group, detail)
        return findings


async def find_effects(snapshots: Snapshots, forgeries: Iterable[Forgery], findings: Findings) -> None:
    """A consumer writes the id of an event into its inbox in the transaction of the effect."""
    by_id = {forgery.event_id: forgery for forgery in forgeries if forgery.event_id is not None}
    for service in CONSUMERS:
        for where, query in {**_TRACES, **({"entries": _ENTRIES} if service == "audit" else {})}.items():
            for row in await snapshots.rows(service, query, list(by_id)):
                detail = f"{by_id[row[0]].kind}: {by_id[row[0]].message.type}, in the {where} of {service}"
                findings.violated("a forged event had an effect", row[0], detail)
    findings.checked_so_many("forged events", len(by_id))


async def refused_by_group(system: System) -> Counter[str]:
    """How many messages each group has refused, over all its replicas."""
    refused: Counter[str] = Counter()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=POLL_S * 20)) as http:
        for group in CONSUMERS:
            for url in system.service_urls(group):
                async with http.get(f"{url}/metrics") as answer:
                    lines = (await answer.text()).splitlines()
                refused[group] += sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith(METRIC))
    return refused


def _events(body: bytes) -> list[tuple[bytes, _Event]]:
    return [(raw, msgspec.json.decode(raw, type=_Event)) for raw in envelope.split(body)]


def _listens(group: str, type_: str) -> bool:
    return any(fnmatchcase(type_, pattern) for pattern in CONSUMED_BY[group])
