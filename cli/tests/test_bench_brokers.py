"""The brokers are measured by what services use, and one that is not installed is named."""

import pytest
from rich.console import Console

from cartwright.bench import brokers
from cartwright.bench.broker_table import print_brokers
from cartwright.bench.brokers import WAYS, compare_brokers
from cartwright.launcher import rabbitmq


def _told(report: brokers.BrokerReport) -> str:
    console = Console(width=140, no_color=True)
    with console.capture() as captured:
        print_brokers(report, console)
    return captured.get()


def test_each_broker_is_measured_in_each_way() -> None:
    report = compare_brokers(0.2, lambda _: None)
    installed = ["NATS JetStream"] if rabbitmq.program() is None else ["NATS JetStream", "RabbitMQ"]
    assert [(figure.broker, figure.way) for figure in report.figures] == [
        (broker, way.name) for broker in installed for way in WAYS
    ]
    assert all(figure.published > 0 and figure.consumed > 0 for figure in report.figures)
    told = _told(report)
    assert all(f"{figure.published:,.0f}" in told and f"{figure.consumed:,.0f}" in told for figure in report.figures)


def test_a_broker_that_is_not_installed_is_named_with_what_would_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq, "program", lambda: None)
    report = compare_brokers(0.1, lambda _: None)
    assert {figure.broker for figure in report.figures} == {"NATS JetStream"}
    assert "Not measured: RabbitMQ: it is not installed (apt-get install rabbitmq-server)" in _told(report)
