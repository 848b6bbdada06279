"""A chain that was rewritten consistently, its head included, is found out by the heads that were signed before."""

from pathlib import Path
from typing import Any

import pytest

from audit.chain import Head
from audit.record_events import record_events
from audit.signed_heads import HeadForged, HeadsFile, HeadSigner, SignedHeads
from audit.verify_chain import verify_chain, verify_record
from cartwright.launcher import keys
from chassis.persistence.database import Connection, Database

# Of one who may write to the database and knows the formula.
REWRITTEN = """
    UPDATE entries SET envelope = replace(envelope, '"order.placed"', '"order.erased"'), type = 'order.erased'
    WHERE position = 2;
    DO $$
    DECLARE
        entry entries;
        previous bytea := decode(repeat('00', 32), 'hex');
    BEGIN
        FOR entry IN SELECT * FROM entries ORDER BY position LOOP
            UPDATE entries
            SET previous_hash = previous,
                hash = sha256(previous || int8send(entry.position) || uuid_send(entry.event_id)
                              || convert_to(entry.envelope, 'UTF8'))
            WHERE position = entry.position
            RETURNING hash INTO previous;
        END LOOP;
        UPDATE chain_head SET hash = previous;
    END $$;
"""


@pytest.fixture
def signer(service_keys: dict[str, str], service_jwks: str) -> HeadSigner:
    return HeadSigner(service_keys["audit"], service_jwks)


@pytest.fixture
def file(tmp_path: Path) -> HeadsFile:
    return HeadsFile(tmp_path / "heads" / "audit-heads.jws")


@pytest.fixture
async def signed(database: Database, signer: HeadSigner, file: HeadsFile, make_event: Any) -> Database:
    """Three entries, and a signed head."""
    events = [make_event() for _ in range(3)]
    await database.run(lambda connection: record_events(connection, events))
    await SignedHeads(database, signer, file).sign()
    return database


async def tamper(database: Database, statements: str) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute(statements)

    await database.run_as_owner(work)


async def test_a_chain_that_holds_is_compared_with_each_head(
    signed: Database, signer: HeadSigner, file: HeadsFile, make_event: Any
) -> None:
    event = make_event()
    await signed.run(lambda connection: record_events(connection, [event]))
    for _ in range(3):  # Signed once: the head has not moved since.
        await SignedHeads(signed, signer, file).sign()
    verification = await verify_record(signed, signer, file)
    # Two heads, each in the table and in the file.
    assert (verification.intact, verification.entries, verification.signed_heads) == (True, 4, 4)


async def test_a_line_that_was_cut_off_is_no_forgery_and_hides_none_that_follows(
    signed: Database, signer: HeadSigner, file: HeadsFile, tmp_path: Path
) -> None:
    path = tmp_path / "heads" / "audit-heads.jws"
    whole = path.read_text().strip()
    path.write_text(f"{whole[:-20]}\n{whole}\n")
    verification = await verify_record(signed, signer, file)
    assert (verification.intact, verification.signed_heads) == (True, 2)
    await tamper(signed, REWRITTEN + "DELETE FROM signed_heads;")
    assert not (await verify_record(signed, signer, file)).intact


async def test_a_chain_that_was_rewritten_with_its_head_is_found(
    signed: Database, signer: HeadSigner, file: HeadsFile
) -> None:
    await tamper(signed, REWRITTEN)
    assert (await verify_chain(signed)).intact, "the chain alone cannot tell"
    verification = await verify_record(signed, signer, file)
    assert not verification.intact
    assert verification.first_broken is not None
    assert verification.first_broken.position == 3


@pytest.mark.parametrize("heads", ["DELETE FROM signed_heads;", "UPDATE signed_heads SET statement = 'e30.e30.e30';"])
async def test_a_rewritten_chain_is_found_though_the_heads_in_the_database_went_with_it(
    signed: Database, signer: HeadSigner, file: HeadsFile, heads: str
) -> None:
    await tamper(signed, REWRITTEN + heads)
    assert not (await verify_record(signed, signer, file)).intact


async def test_a_chain_whose_end_was_cut_off_is_found(signed: Database, signer: HeadSigner, file: HeadsFile) -> None:
    await tamper(
        signed,
        """
        DELETE FROM entries WHERE position = 3;
        UPDATE chain_head SET position = 2, hash = entries.hash FROM entries WHERE entries.position = 2;
        """,
    )
    assert (await verify_chain(signed)).intact, "the chain alone cannot tell"
    assert not (await verify_record(signed, signer, file)).intact


def test_a_head_that_another_key_signed_is_forged(service_jwks: str, signer: HeadSigner) -> None:
    forger = HeadSigner(keys.make_key("audit"), service_jwks)
    with pytest.raises(HeadForged):
        signer.read(forger.sign(Head(1, bytes(32))))


def test_a_token_of_the_same_key_is_no_head(service_keys: dict[str, str], signer: HeadSigner) -> None:
    with pytest.raises(HeadForged):
        signer.read(keys.sign_service_token(service_keys["audit"], "audit", "users"))


async def test_heads_and_the_keys_to_verify_them_are_told_to_administrators(
    client: Any, as_administrator: dict[str, str], access_token: Any
) -> None:
    answer = await client.get("/audit/heads", headers=as_administrator)
    assert (answer.status_code, answer.json()) == (200, {"items": [], "next_cursor": None})
    (key,) = (await client.get("/audit/keys", headers=as_administrator)).json()["keys"]
    assert key["kid"] == "audit"
    assert "d" not in key
    customer = {"authorization": f"Bearer {access_token('01936b1c-0000-7000-8000-000000000001')}"}
    for path in ("/audit/heads", "/audit/keys"):
        assert (await client.get(path, headers=customer)).status_code == 403
