"""One account for one mailbox, in each form of its domain, and the addresses of earlier releases."""

from typing import Any
from uuid import UUID

import pytest
import structlog
from uuid_utils.compat import uuid7

from chassis import actor, context
from chassis.persistence.database import Connection, Database
from users.app import MIGRATIONS
from users.workers.address_canonicaliser import BATCH_MAX, AddressCanonicaliser

UNICODE, PUNYCODE = "zoe@bücher.example", "zoe@xn--bcher-kva.example"
FORMS = [
    UNICODE,
    PUNYCODE,
    "ZOE@BÜCHER.example",
    "zoe@bu\u0308cher.EXAMPLE",
    "zoe@ｂücher．example",
    "Zoe@XN--BCHER-KVA.EXAMPLE",
]


async def test_a_mailbox_has_one_account_in_each_form_of_its_domain(start: Any) -> None:
    async with start() as service:
        assert (await service.register(PUNYCODE)).json()["email"] == UNICODE
        for form in FORMS:
            taken = await service.register(form)
            assert (form, taken.status_code, taken.json()["code"]) == (form, 409, "email_taken")
            assert (form, (await service.sign_in(form)).status_code) == (form, 200)
        other = await service.new_user()
        change = await service.call("PATCH", "/users/me", token=other.access_token, json={"email": PUNYCODE})
        assert (change.status_code, change.json()["code"]) == (409, "email_taken")


@pytest.mark.parametrize("email", ["ada@ｌｏｃａｌｈｏｓｔ", "ada@shop．ｔｅｓｔ", "ada@shop.local", "ada@intranet"])
async def test_a_reserved_domain_is_refused_in_each_unicode_form(start: Any, email: str) -> None:
    async with start() as service:
        refused = await service.register(email)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_email")


async def insert(database: Database, *emails: str) -> list[UUID]:
    """Insert accounts as earlier releases did. Returns their ids in order."""
    ids: list[UUID] = [uuid7() for _ in emails]

    async def work(connection: Connection) -> None:
        await connection.executemany(
            "INSERT INTO accounts (id, email, name, password_hash, roles) VALUES ($1, $2, 'Zoe', 'hash', '{customer}')",
            list(zip(ids, emails, strict=True)),
        )

    await database.run(work)
    return ids


@pytest.fixture
async def database(database_url: str) -> Any:
    database = Database(database_url, migrations=MIGRATIONS)
    await database.start()
    with context.acting_as(actor.service("users")):
        yield database
    await database.stop()


async def emails_of(database: Database, ids: list[UUID]) -> list[str]:
    rows = await database.read(
        lambda connection: connection.fetch("SELECT id, email FROM accounts WHERE id = ANY ($1)", ids)
    )
    by_id = {row["id"]: row["email"] for row in rows}
    return [by_id[account_id] for account_id in ids]


async def test_addresses_of_earlier_releases_get_their_canonical_form_and_an_event(database: Database) -> None:
    ids = await insert(database, PUNYCODE, "ada@ｅｘａｍｐｌｅ.com", "zoë@bücher.example", "ada@plain.example")
    assert not await AddressCanonicaliser(database).run_once()
    assert await emails_of(database, ids) == [UNICODE, "ada@example.com", "zoë@bücher.example", "ada@plain.example"]
    events = await database.read(
        lambda connection: connection.fetch("SELECT type, subject, actor, data ->> 'email' AS email FROM journal")
    )
    assert sorted((row["type"], row["subject"], row["actor"], row["email"]) for row in events) == sorted(
        [
            ("user.updated", str(ids[0]), "service:users", UNICODE),
            ("user.updated", str(ids[1]), "service:users", "ada@example.com"),
        ]
    )


@pytest.mark.parametrize("emails", [(PUNYCODE, UNICODE), (UNICODE, PUNYCODE)])
async def test_two_accounts_of_one_mailbox_both_stay_and_the_log_names_one(
    database: Database, emails: tuple[str, str]
) -> None:
    ids = await insert(database, *emails)
    with structlog.testing.capture_logs() as logs:
        assert not await AddressCanonicaliser(database).run_once()
    assert await emails_of(database, ids) == list(emails)
    warnings = [(log["log_level"], log["user_id"]) for log in logs if "same mailbox" in log["event"]]
    assert warnings == [("warning", str(ids[emails.index(PUNYCODE)]))]


async def test_an_address_that_is_invalid_today_stays_and_does_not_stop_the_batch(database: Database) -> None:
    ids = await insert(database, "ö@printer.local", PUNYCODE)
    await AddressCanonicaliser(database).run_once()
    assert await emails_of(database, ids) == ["ö@printer.local", UNICODE]


async def test_many_addresses_are_canonicalised_in_batches(database: Database) -> None:
    ids = await insert(database, *(f"zoe{number}@xn--bcher-kva.example" for number in range(BATCH_MAX + 1)))
    canonicaliser = AddressCanonicaliser(database)
    assert await canonicaliser.run_once()
    assert not await canonicaliser.run_once()
    assert await emails_of(database, ids) == [f"zoe{number}@bücher.example" for number in range(BATCH_MAX + 1)]


async def test_a_start_canonicalises_and_the_owner_signs_in_by_any_form(start: Any, until: Any) -> None:
    async with start() as service:
        registered = await service.register(UNICODE)
        await service.rows("UPDATE accounts SET email = $1 WHERE email = $2", PUNYCODE, UNICODE)
        assert (await service.sign_in(PUNYCODE)).status_code == 200, "before it is canonicalised"
        async with start() as replica:

            async def is_canonical() -> bool:
                rows = await replica.rows("SELECT email FROM accounts WHERE id = $1", registered.json()["id"])
                return [row["email"] for row in rows] == [UNICODE]

            await until(is_canonical, "the address is canonical")
            for form in FORMS:
                assert (await replica.sign_in(form)).status_code == 200


async def test_each_of_two_accounts_of_one_mailbox_signs_in_by_its_own_form(start: Any) -> None:
    async with start() as service:
        old = await service.register(UNICODE, password="the earlier one's")
        await service.rows("UPDATE accounts SET email = $1 WHERE email = $2", PUNYCODE, UNICODE)
        new = await service.register(UNICODE, password="the later one's")
        assert new.status_code == 201
        assert (await service.sign_in(PUNYCODE, "the earlier one's")).status_code == 200
        assert (await service.sign_in(UNICODE, "the later one's")).status_code == 200
        assert (await service.sign_in(UNICODE, "the earlier one's")).status_code == 400
        assert old.json()["id"] != new.json()["id"]
