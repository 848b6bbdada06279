"""A chain that was rewritten together with its head differs from the heads that were signed before."""

from pathlib import Path
from typing import Any

import pytest

from audit.domain.chain import Head
from audit.head_signer import HeadForged, HeadSigner
from audit.heads_file import HeadsFile
from audit.record_events import record_events
from audit.sign_head import sign_head
from audit.verify_audit_record import verify_audit_record
from audit.verify_chain import verify_chain
from cartwright.testkit import keys
from chassis.persistence.database import Connection, Database

# By an attacker who can write to the database and knows the formula of the hash.
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
    await sign_head(database, signer, file)
    return database


async def tamper(database: Database, statements: str) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute(statements)

    await database.run_as_owner(work)


async def test_an_intact_chain_is_compared_with_each_signed_head(
    signed: Database, signer: HeadSigner, file: HeadsFile, make_event: Any
) -> None:
    event = make_event()
    await signed.run(lambda connection: record_events(connection, [event]))
    for _ in range(3):  # Only the first call signs: the head has not moved since.
        await sign_head(signed, signer, file)
    verification = await verify_audit_record(signed, signer, file)
    # Two heads, each in the table and in the file.
    assert (verification.is_intact, verification.entries, verification.signed_heads) == (True, 4, 4)


async def test_a_torn_line_is_not_a_forgery_and_does_not_hide_later_lines(
    signed: Database, signer: HeadSigner, file: HeadsFile, tmp_path: Path
) -> None:
    path = tmp_path / "heads" / "audit-heads.jws"
    whole = path.read_text().strip()
    path.write_text(f"{whole[:-20]}\n{whole}\n")
    verification = await verify_audit_record(signed, signer, file)
    assert (verification.is_intact, verification.signed_heads) == (True, 2)
    await tamper(signed, REWRITTEN + "DELETE FROM signed_heads;")
    assert not (await verify_audit_record(signed, signer, file)).is_intact


async def test_a_chain_that_was_rewritten_with_its_head_is_found(
    signed: Database, signer: HeadSigner, file: HeadsFile
) -> None:
    await tamper(signed, REWRITTEN)
    assert (await verify_chain(signed)).is_intact, "the chain alone does not reveal it"
    verification = await verify_audit_record(signed, signer, file)
    assert not verification.is_intact
    assert verification.first_break is not None
    assert verification.first_break.position == 3


@pytest.mark.parametrize("heads", ["DELETE FROM signed_heads;", "UPDATE signed_heads SET statement = 'e30.e30.e30';"])
async def test_a_rewritten_chain_is_found_when_the_heads_in_the_database_were_changed_too(
    signed: Database, signer: HeadSigner, file: HeadsFile, heads: str
) -> None:
    await tamper(signed, REWRITTEN + heads)
    assert not (await verify_audit_record(signed, signer, file)).is_intact


async def test_a_truncated_chain_is_found(signed: Database, signer: HeadSigner, file: HeadsFile) -> None:
    await tamper(
        signed,
        """
        DELETE FROM entries WHERE position = 3;
        UPDATE chain_head SET position = 2, hash = entries.hash FROM entries WHERE entries.position = 2;
        """,
    )
    assert (await verify_chain(signed)).is_intact, "the chain alone does not reveal it"
    assert not (await verify_audit_record(signed, signer, file)).is_intact


def test_a_head_that_another_key_signed_is_forged(service_jwks: str, signer: HeadSigner) -> None:
    forger = HeadSigner(keys.make_key("audit"), service_jwks)
    with pytest.raises(HeadForged):
        signer.read(forger.sign(Head(1, bytes(32))))


def test_a_token_of_the_same_key_is_not_a_head(service_keys: dict[str, str], signer: HeadSigner) -> None:
    with pytest.raises(HeadForged):
        signer.read(keys.sign_service_token(service_keys["audit"], "audit", "users"))


async def test_administrators_read_the_heads_and_the_keys_that_verify_them(
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
