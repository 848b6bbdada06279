"""What `cartwright bench growth` fills a system with: copies that hold together, and products that can be found.

That every promise holds on copies is shown on a whole system, in tests/e2e/test_bench.py.
"""

import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence

import asyncpg
import msgspec
import pytest

from cartwright.bench.copies import (
    SEQUENCE,
    Chain,
    Copies,
    Entry,
    Originals,
    Positions,
    copied_journal,
    copied_rows,
    escaped,
    filled,
    hole_of,
)
from cartwright.bench.many_products import ADD
from cartwright.bench.product_names import ADJECTIVES, NOUNS, name_of

FIRST_MS = 1_750_000_000_000


def new_ids(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


async def lines_of(texts: AsyncIterator[bytes]) -> list[list[bytes]]:
    text = b"".join([part async for part in texts])
    return [line.split(b"\t") for line in text.splitlines()]


async def test_each_copy_has_ids_of_its_own_that_fit_together_in_all_tables() -> None:
    (order, payment), (other, _) = own = [new_ids(2), new_ids(2)]
    product = new_ids(1)[0]
    originals = Originals(own, ["key-1", "key-2"])
    copies = Copies(0, 4, FIRST_MS)
    orders = [
        originals.with_holes(0, f"{order}\t{product}\tkey-1\n".encode()),
        originals.with_holes(1, f"{other}\t{product}\tkey-2\n".encode()),
    ]
    payments = [originals.with_holes(0, f"{payment}\t{order}\n".encode()), b""]
    copied = await lines_of(copied_rows(orders, copies))
    assert len({line[0] for line in copied}) == 4
    assert {line[1] for line in copied} == {product.encode()}
    assert {line[2] for line in copied} == {b"copy-%012x" % number for number in range(4)}
    paid = await lines_of(copied_rows(payments, copies))
    assert [line[1] for line in paid] == [copied[0][0], copied[2][0]]


async def test_ids_of_copies_are_of_version_7_and_in_the_order_of_their_numbers() -> None:
    copies = Copies(65_530, 20, FIRST_MS)
    rows = await lines_of(copied_rows([hole_of(5) + b"\n"], copies))
    ids = [uuid.UUID(line[0].decode()) for line in rows]
    assert ids == sorted(ids)
    assert {(id_.version, id_.variant) for id_ in ids} == {(7, uuid.RFC_4122)}
    assert ids[0].int >> 80 == FIRST_MS + 65_530


async def test_later_copies_go_on_without_meeting_the_earlier_ones() -> None:
    texts = [hole_of(0) + b"\n"]
    earlier = await lines_of(copied_rows(texts, Copies(0, 700, FIRST_MS)))
    later = await lines_of(copied_rows(texts, Copies(700, 700, FIRST_MS)))
    assert len({line[0] for line in (*earlier, *later)}) == 1400


async def test_positions_in_a_journal_have_no_gaps_and_audit_names_the_same_ones() -> None:
    own = [new_ids(3), new_ids(4)]
    originals = Originals(own, ["a", "b"])
    journal = [[originals.with_holes(index, f"{event}\n".encode()) for event in ids] for index, ids in enumerate(own)]
    sizes = [3, 4]
    copies = Copies(5, 1001, FIRST_MS)
    rows = await lines_of(copied_journal(journal, copies, Positions(40, sizes)))
    assert [int(line[0]) for line in rows] == list(range(40, 40 + len(rows)))
    said = {line[1]: line[0] for line in rows}

    entries = [
        [entry_of(originals, index, event, offset) for offset, event in enumerate(ids)] for index, ids in enumerate(own)
    ]
    chain = Chain(7, bytes(32))
    recorded = await lines_of(chain.copied(entries, copies, {"orders": Positions(40, sizes)}))
    assert {line[1]: msgspec.json.decode(line[2])["sequence"].encode() for line in recorded} == said


def entry_of(originals: Originals, index: int, event: str, offset: int) -> Entry:
    return Entry(
        event_id=originals.with_holes(index, event.encode()),
        rest=originals.with_holes(index, event.encode()),
        envelope=originals.with_holes(index, b'{"id":"%b","sequence":"%b"}' % (event.encode(), SEQUENCE)),
        journal="orders",
        offset=offset,
    )


async def test_the_chain_goes_on_by_the_formula_of_audit() -> None:
    (ids,) = own = [new_ids(2)]
    originals = Originals(own, ["a"])
    head = hashlib.sha256(b"before").digest()
    chain = Chain(100, head)
    entries = [[entry_of(originals, 0, event, offset) for offset, event in enumerate(ids)]]
    rows = await lines_of(chain.copied(entries, Copies(0, 2, FIRST_MS), {"orders": Positions(1, [2])}))
    for position, (at, event_id, envelope, previous, hash_) in enumerate(rows, 101):
        assert int(at) == position
        assert previous == b"\\\\x" + head.hex().encode()
        content = head + position.to_bytes(8, "big") + uuid.UUID(event_id.decode()).bytes + envelope
        head = hashlib.sha256(content).digest()
        assert hash_ == b"\\\\x" + head.hex().encode()
    assert (chain.position, chain.head) == (104, head)


async def test_what_is_escaped_comes_back_from_the_database(database_url: str) -> None:
    said = b'{"name":"a \\"quoted\\" name, a \\\\ and a \\n"}'
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE TABLE texts (text text)")

        async def rows() -> AsyncIterator[bytes]:
            yield escaped(said) + b"\n"

        await connection.copy_to_table("texts", source=rows(), format="text")
        assert await connection.fetchval("SELECT text FROM texts") == said.decode()
    finally:
        await connection.close()


def test_a_text_without_holes_stays_as_it_is() -> None:
    assert filled(b"as it is\n", b"time", b"number") == b"as it is\n"


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """As much of catalog's tables as products need."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """
        CREATE TABLE products (
            id uuid PRIMARY KEY, sku text, name text, description text, price_minor bigint, currency text,
            attributes jsonb
        );
        CREATE TABLE stock (product_id uuid PRIMARY KEY, available bigint);
        CREATE TABLE stock_adjustments (
            id uuid PRIMARY KEY, product_id uuid, quantity bigint, reason text, available bigint
        );
        """
    )
    yield connection
    await connection.close()


async def test_products_have_names_by_which_they_can_be_found(shop: "asyncpg.Connection[asyncpg.Record]") -> None:
    added: Sequence[asyncpg.Record] = await shop.fetch(ADD, 995, 1_025, list(ADJECTIVES), list(NOUNS), 10)
    rows = await shop.fetch("SELECT name FROM products")
    assert len(rows) == len(added) == 30
    assert {row["name"] for row in rows} == {name_of(number) for number in range(995, 1_025)}
    assert await shop.fetchval("SELECT sum(quantity) FROM stock_adjustments") == 300
    assert await shop.fetchval("SELECT sum(available) FROM stock") == 300
