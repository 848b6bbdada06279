"""`cartwright logs`: one story out of many files."""

import json
from pathlib import Path

import pytest

from cartwright.launcher.layout import Layout
from cartwright.logs import SystemLogs, of_correlation, plain, readable


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    layout.logs.mkdir()
    return layout


def event(clock: str, name: str, correlation_id: str = "c1") -> str:
    return json.dumps(
        {"timestamp": f"2026-01-31T{clock}Z", "level": "info", "event": name, "correlation_id": correlation_id}
    )


def write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def events(logs: SystemLogs) -> list[str]:
    return [line.event["event"] if line.event else line.text for line in logs.new_lines()]


def test_lines_of_all_parts_are_in_the_order_of_time(layout: Layout) -> None:
    write(layout.log("orders"), event("12:00:00.000001", "placed"), event("12:00:03.000000", "confirmed"))
    write(layout.log("payments"), event("12:00:02.500000", "authorized"))
    write(layout.log("catalog"), event("12:00:01.000000", "reserved"))
    assert events(SystemLogs(layout)) == ["placed", "reserved", "authorized", "confirmed"]


def test_rotated_files_come_first(layout: Layout) -> None:
    write(layout.logs / "orders.log.10", event("12:00:01", "first"))
    write(layout.logs / "orders.log.2", event("12:00:02", "second"))
    write(layout.logs / "orders.log.1", event("12:00:03", "third"))
    write(layout.log("orders"), event("12:00:04", "fourth"))
    assert events(SystemLogs(layout)) == ["first", "second", "third", "fourth"]


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-31 12:00:02.500 UTC [7] users@users LOG:  checkpoint",
        "[7] 2026/01/31 12:00:02.500000 [INF] Server is ready",
        "2026-01-31 12:00:02,500 INFO spawned: 'users' with pid 7",
    ],
)
def test_plain_lines_find_their_place_by_the_time_in_them(layout: Layout, line: str) -> None:
    write(layout.log("orders"), event("12:00:02", "before"), event("12:00:03", "after"))
    write(layout.log("other"), line)
    assert events(SystemLogs(layout)) == ["before", line, "after"]


def test_a_line_without_a_time_stays_with_the_one_before_it(layout: Layout) -> None:
    write(layout.log("orders"), event("12:00:01", "failed"), "Traceback (most recent call last):", "  ValueError")
    write(layout.log("users"), event("12:00:02", "later"))
    assert events(SystemLogs(layout)) == ["failed", "Traceback (most recent call last):", "  ValueError", "later"]


def test_one_purchase_is_picked_out(layout: Layout) -> None:
    write(layout.log("orders"), event("12:00:01", "mine", "c1"), event("12:00:02", "mentions c1", "c2"), "c1 plain")
    write(layout.log("users"), event("12:00:03", "mine too", "c1"))
    picked = of_correlation(SystemLogs(layout).new_lines(), "c1")
    assert [line.event["event"] for line in picked if line.event] == ["mine", "mine too"]


def test_following_tells_only_what_is_new_and_survives_a_rotation(layout: Layout) -> None:
    log = layout.log("orders")
    write(log, event("12:00:01", "old"))
    logs = SystemLogs(layout)
    assert events(logs) == ["old"]
    assert events(logs) == []
    write(log, event("12:00:02", "before the rotation"))
    log.rename(layout.logs / "orders.log.1")
    write(log, event("12:00:03", "after the rotation"))
    write(layout.log("users"), event("12:00:04", "a part that is new"))
    assert events(logs) == ["before the rotation", "after the rotation", "a part that is new"]


def test_a_line_half_written_is_told_once_it_is_whole(layout: Layout) -> None:
    log = layout.log("orders")
    text = event("12:00:01", "whole")
    log.write_text(text[:20])
    logs = SystemLogs(layout)
    assert events(logs) == []
    with log.open("a") as file:
        file.write(text[20:] + "\n")
    assert events(logs) == ["whole"]


def test_programs_get_the_json_and_people_a_line(layout: Layout) -> None:
    write(layout.log("orders"), event("12:00:01.25", "order.placed"))
    (line,) = SystemLogs(layout).new_lines()
    assert json.loads(plain(line))["event"] == "order.placed"
    assert "12:00:01.250" in readable(line)
    assert "orders" in readable(line)
    assert "order.placed" in readable(line)
