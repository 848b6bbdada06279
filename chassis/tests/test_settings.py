"""Settings come from the environment or from files, and a complaint never tells a secret."""

from pathlib import Path

import pytest

from chassis.settings import ServiceSettings, SettingsError, read_settings

COMPLETE = {
    "PORT": "8011",
    "DATABASE_URL": "postgresql://orders:hush@localhost/orders",
    "EVENTS_URL": "nats://orders:hush@localhost/cartwright",
    "SERVICE_KEY": '{"d": "hush"}',
    "SERVICE_KEYS": '{"keys": []}',
    "USERS_URL": "http://localhost:8011",
}


def test_settings_are_read_and_typed() -> None:
    settings = read_settings(ServiceSettings, {**COMPLETE, "UNRELATED": "1"})
    assert (settings.port, settings.host, settings.database_pool_size_max) == (8011, "127.0.0.1", 6)


def test_a_setting_may_be_given_as_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text('{"d": "from a file"}\n')
    given = {name: value for name, value in COMPLETE.items() if name != "SERVICE_KEY"}
    assert (
        read_settings(ServiceSettings, {**given, "SERVICE_KEY_FILE": str(secret)}).service_key == '{"d": "from a file"}'
    )


def test_a_setting_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^Both SERVICE_KEY and SERVICE_KEY_FILE are set"):
        read_settings(ServiceSettings, {**COMPLETE, "SERVICE_KEY_FILE": str(tmp_path / "key")})


@pytest.mark.parametrize("name", COMPLETE)
def test_a_missing_setting_is_named(name: str) -> None:
    given = {other: value for other, value in COMPLETE.items() if other != name}
    with pytest.raises(SettingsError, match=f"^{name} is not set"):
        read_settings(ServiceSettings, given)


def test_a_file_that_cannot_be_read_is_named_by_its_variable(tmp_path: Path) -> None:
    given = {name: value for name, value in COMPLETE.items() if name != "SERVICE_KEY"}
    with pytest.raises(SettingsError, match=r"^SERVICE_KEY_FILE cannot be read: No such file"):
        read_settings(ServiceSettings, {**given, "SERVICE_KEY_FILE": str(tmp_path / "nothing")})


def test_a_file_that_is_no_text_is_named_by_its_variable(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_bytes(b"\xff\xfe hush")
    given = {name: value for name, value in COMPLETE.items() if name != "SERVICE_KEY"}
    with pytest.raises(SettingsError, match=r"^SERVICE_KEY_FILE cannot be read") as raised:
        read_settings(ServiceSettings, {**given, "SERVICE_KEY_FILE": str(secret)})
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("name", ["PORT", "DATABASE_POOL_SIZE_MAX"])
def test_a_malformed_setting_is_named_without_its_value(name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(ServiceSettings, {**COMPLETE, name: "hush"})
    assert str(raised.value).startswith(f"{name}: ")
    assert "hush" not in str(raised.value)
    assert raised.value.__cause__ is None
