"""Passwords and keys: made once, kept, readable only by their owner."""

import json
import stat
from pathlib import Path

import msgspec

from cartwright.launcher import credentials
from cartwright.launcher.layout import SERVICES, Layout
from cartwright.launcher.parts import service_environment
from cartwright.launcher.system import make_data_folder, make_system, open_system, write_what_services_may_know


def test_credentials_stay_the_same_from_start_to_start(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert credentials.load_or_make(layout) == credentials.load_or_make(layout)


def test_a_service_added_later_gets_its_own_and_the_others_keep_theirs(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    made = credentials.load_or_make(layout)
    older = msgspec.structs.replace(made, databases={"users": "kept"}, service_keys={})
    layout.credentials.write_bytes(msgspec.json.encode(older))
    renewed = credentials.load_or_make(layout)
    assert renewed.databases["users"] == "kept"
    assert set(renewed.databases) == set(made.databases)
    assert set(renewed.service_keys) == set(SERVICES)
    assert renewed.administrator == made.administrator


def test_a_system_of_an_earlier_version_gets_logins_for_its_services(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    made = credentials.load_or_make(layout)
    older = msgspec.to_builtins(made)
    del older["runtimes"]
    layout.credentials.write_bytes(msgspec.json.encode(older))
    renewed = credentials.load_or_make(layout)
    assert renewed.databases == made.databases
    assert len({password for logins in renewed.logins().values() for password in msgspec.structs.astuple(logins)}) == 18


def test_only_the_owner_reads_secrets(tmp_path: Path) -> None:
    layout = make_data_folder(tmp_path / "data")
    write_what_services_may_know(make_system(layout, 8080, None))
    assert stat.S_IMODE(layout.data.stat().st_mode) == 0o700
    files = [path for path in layout.data.rglob("*") if path.is_file()]
    assert len(files) > len(SERVICES)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_service_is_told_no_secret_of_another(tmp_path: Path) -> None:
    system = make_system(make_data_folder(tmp_path), 8080, None)
    write_what_services_may_know(system)
    for service in SERVICES:
        told = [
            Path(value).read_text() for key, value in service_environment(system, service).items() if "_FILE" in key
        ]
        others = [key for name, key in system.credentials.service_keys.items() if name != service]
        logins = system.credentials.logins()
        others += [password for name in logins if name != service for password in msgspec.structs.astuple(logins[name])]
        assert not [secret for secret in others if any(secret in text for text in told)]


def test_the_environment_of_a_service_holds_no_secret_itself(tmp_path: Path) -> None:
    system = make_system(make_data_folder(tmp_path), 8080, None)
    secrets = [system.credentials.administrator, system.credentials.broker, *system.credentials.databases.values()]
    told = json.dumps([service_environment(system, service) for service in SERVICES])
    assert not [secret for secret in secrets if secret in told]


def test_a_command_finds_the_system_as_it_was_last_started(tmp_path: Path) -> None:
    made = make_system(make_data_folder(tmp_path), 9000, 7, replicas=2)
    found = open_system(tmp_path)
    assert (found.ports.base, found.rate_limit, list(found.replicas)) == (9000, 7, [1, 2])
    assert [found.service_url("users", replica) for replica in found.replicas] == [
        "http://127.0.0.1:9011",
        "http://127.0.0.1:9021",
    ]
    assert found.credentials == made.credentials
