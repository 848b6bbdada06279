"""The secrets of a system under Compose: made once, kept, and given only to the parts that need them."""

import json
import stat

from cartwright.compose.secrets import make_secrets
from cartwright.launcher.layout import SERVICES, SERVICES_WITH_DATABASE
from cartwright.launcher.remote_system import read_remote_system


def contents(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_secrets_are_made_once_and_kept(tmp_path):
    make_secrets(tmp_path / "secrets")
    made = contents(tmp_path / "secrets")
    make_secrets(tmp_path / "secrets")

    assert contents(tmp_path / "secrets") == made


def test_no_two_systems_have_a_password_in_common(tmp_path):
    for name in ("one", "other"):
        make_secrets(tmp_path / name)
    one, other = contents(tmp_path / "one"), contents(tmp_path / "other")

    assert [name for name in one if one[name] == other[name]] == []


def test_no_password_is_used_twice(tmp_path):
    make_secrets(tmp_path)
    passwords = [text for name, text in contents(tmp_path).items() if name.endswith("password")]

    assert len(set(passwords)) == len(passwords)
    assert min(map(len, passwords)) >= 32


def test_what_is_missing_is_made_and_what_follows_from_it_is_renewed(tmp_path):
    make_secrets(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "orders" / "database-password").unlink()
    make_secrets(tmp_path)
    after = contents(tmp_path)

    assert {name for name in before if before[name] != after[name]} == {
        "orders/database-password",
        "orders/database-owner-url",
        "orders/logins.sql",
    }
    assert after["orders/database-password"] in after["orders/database-owner-url"]


def test_the_folder_is_for_its_owner_and_the_files_for_who_is_given_them(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o755)
    make_secrets(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()} == {0o444}


def test_the_public_keys_are_those_of_all_services_and_tell_nothing_private(tmp_path):
    make_secrets(tmp_path)
    public = json.loads((tmp_path / "service-keys.jwks").read_text())["keys"]

    assert {key["kid"] for key in public} == set(SERVICES)
    assert not any("d" in key for key in public)


def test_who_is_outside_finds_the_gateway_where_it_is_published(tmp_path):
    make_secrets(tmp_path)
    inside = read_remote_system(tmp_path / "system.json")
    outside = read_remote_system(tmp_path / "system.json", "http://localhost:8080/")

    assert inside.gateway_url == "http://gateway:8080"
    assert outside.gateway_url == "http://localhost:8080"
    assert outside.administrator_password == inside.administrator_password


def test_the_password_of_an_account_is_found_again_and_is_no_others(tmp_path):
    make_secrets(tmp_path)
    system = read_remote_system(tmp_path / "system.json")

    assert system.password_of("me@example.com") == system.password_of("me@example.com")
    assert system.password_of("me@example.com") != system.password_of("you@example.com")


def test_a_gateway_with_a_certificate_is_known_by_it_inside_and_by_its_name_outside(tmp_path):
    make_secrets(tmp_path)
    (tmp_path / "tls" / "tls.crt").write_text("the certificate")
    make_secrets(tmp_path)
    inside = read_remote_system(tmp_path / "system.json")
    outside = read_remote_system(tmp_path / "system.json", "https://shop.example")

    assert (inside.gateway_url, inside.gateway_certificate) == ("https://gateway:8080", "the certificate")
    assert (outside.gateway_url, outside.gateway_certificate) == ("https://shop.example", None)


def test_each_service_has_a_login_of_its_own_to_the_broker(tmp_path):
    (tmp_path / "events-url").write_text("amqp://cartwright:shared@rabbitmq:5672/cartwright")
    make_secrets(tmp_path)
    made = contents(tmp_path)
    definitions = json.loads(made["rabbitmq-definitions.json"])

    assert {user["name"] for user in definitions["users"]} == {*SERVICES_WITH_DATABASE, "cartwright"}
    assert {user["name"] for user in definitions["users"] if user["tags"]} == {"cartwright"}
    for service in SERVICES_WITH_DATABASE:
        assert made[f"{service}/events-url"].startswith(f"amqp://{service}:{made[f'{service}/broker-password']}@")
        assert made["broker-password"] not in made[f"{service}/events-url"]
    assert "events-url" not in made, "the shared login is gone"
