"""The rules for Prometheus: each alert is raised when it should be and only then, and speaks of metrics that exist."""

import importlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from cartwright.launcher.layout import SERVICES

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"
RULES: dict[str, Any] = yaml.safe_load((FOLDER / "alerts.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
PARTS = {*SERVICES, "gateway", "rabbitmq"}
# Of programs that are not ours: Envoy's are asked of a real one in the end-to-end tests, RabbitMQ's are those that
# versions 3.10 and 4 both document.
FOREIGN = {
    "up",
    "envoy_http_downstream_rq_xx",
    "rabbitmq_alarms_memory_used_watermark",
    "rabbitmq_alarms_free_disk_space_watermark",
    "rabbitmq_queue_messages_ready",
}
_NAME = re.compile(r"\b(?:cartwright|envoy|rabbitmq|process)_[a-z_]+\b")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed; it comes with Debian's package prometheus"
)


@dataclass(frozen=True)
class Case:
    """Series in promtool's notation with a sample each 15 s, and the time at which to look."""

    raised_by: dict[str, str]
    silent_with: dict[str, str]
    at: str = "20m"
    times: int = 1
    """How many alerts are raised."""


def requests(status: int, rate: int, path: str = "/orders", method: str = "POST") -> str:
    return (
        f'cartwright_http_request_duration_seconds_count{{job="orders",method="{method}",path="{path}",'
        f'status="{status}"}} 0+{rate}x100'
    )


def series(*lines: str) -> dict[str, str]:
    """Each line is a series, a blank and its values."""
    return dict(line.rsplit(" ", 1) for line in lines)


def purchases(below_1_s: int, path: str = "/orders") -> dict[str, str]:
    """A hundred purchases every 15 s: so many within a second, all within ten."""
    start = (
        f'cartwright_http_request_duration_seconds_bucket{{job="orders",method="POST",path="{path}",status="201",le='
    )
    return series(f'{start}"1.0"}} 0+{below_1_s}x100', f'{start}"10.0"}} 0+100x100', f'{start}"+Inf"}} 0+100x100')


def gateway(failing: int) -> dict[str, str]:
    start = (
        'envoy_http_downstream_rq_xx{job="gateway",envoy_http_conn_manager_prefix="gateway",envoy_response_code_class='
    )
    return series(f'{start}"2"}} 0+{1000 - failing}x100', f'{start}"5"}} 0+{failing}x100')


def provider(unknown: int) -> dict[str, str]:
    start = 'cartwright_provider_answers_total{job="payments",operation="authorize",answer='
    return series(f'{start}"approved"}} 0+{100 - unknown}x100', f'{start}"unknown"}} 0+{unknown}x100')


def mails(sent: int, deferred: int, given_up: int, pending: int) -> dict[str, str]:
    start = 'cartwright_mails_total{job="notifications",outcome='
    return series(
        f'{start}"sent"}} 0+{sent}x400',
        f'{start}"put_off"}} 0+{deferred}x400',
        f'{start}"given_up"}} 0+{given_up}x400',
        f'cartwright_mails_pending{{job="notifications"}} {pending}x400',
    )


def queues(group: int, history: int) -> dict[str, str]:
    start = 'rabbitmq_queue_messages_ready{job="rabbitmq",vhost="/",queue='
    return series(f'{start}"cartwright.audit"}} {group}x100', f'{start}"cartwright"}} {history}x100')


def gauge(name: str, raised: float, silent: float, **labels: str) -> Case:
    inside = ",".join(f'{label}="{value}"' for label, value in ({"instance": "1"} | labels).items())
    return Case({f"{name}{{{inside}}}": f"{raised}x100"}, {f"{name}{{{inside}}}": f"{silent}x100"})


EVERYTHING_UP = {f'up{{job="{part}",instance="1"}}': "1x100" for part in PARTS}

CASES = {
    "EventsRefused": Case(
        {'cartwright_messages_refused_total{job="payments",group="payments",reason="not the owner"}': "0x10 1x90"},
        {'cartwright_messages_refused_total{job="payments",group="payments",reason="not the owner"}': "0x100"},
        at="10m",
    ),
    "PartGone": Case(
        # One has no address any more, the other has one and does not answer there.
        {name: values for name, values in EVERYTHING_UP.items() if "orders" not in name}
        | {'up{job="audit",instance="1"}': "0x100"},
        # One of two replicas is enough.
        EVERYTHING_UP | {'up{job="orders",instance="2"}': "0x100"},
        times=2,
    ),
    "ReplicaDown": gauge("up", 0, 1, job="orders", instance="2"),
    "NotReady": gauge("cartwright_ready", 0, 1, job="orders"),
    "Restarting": Case(
        {'process_start_time_seconds{job="orders",instance="1"}': "1x20 2x10 3x10 4x60"},
        {'process_start_time_seconds{job="orders",instance="1"}': "1x20 2x80"},
    ),
    "GatewayErrors": Case(gateway(failing=20), gateway(failing=5)),
    "ServiceErrors": Case(
        series(requests(201, 90), requests(500, 10)),
        # A service that is not ready says so to each probe, which is no request that failed.
        series(requests(201, 90), requests(409, 10), requests(503, 50, path="/ready", method="GET")),
    ),
    "SlowPurchases": Case(purchases(below_1_s=90), purchases(below_1_s=100)),
    "SlowRequests": Case(purchases(90, path="/cart"), purchases(90, path="/orders/{order_id}/stream")),
    "OrderStuck": gauge("cartwright_orders_oldest_pending_seconds", 61, 59, job="orders"),
    "JournalBehind": gauge("cartwright_journal_oldest_unpublished_seconds", 31, 5, job="orders"),
    "GroupBehind": gauge("cartwright_messages_waiting", 1001, 900, job="audit", group="audit"),
    "DeadLetters": gauge("cartwright_dead_letters_kept", 1, 0, job="catalog", group="catalog"),
    "UnreadableEvents": Case(
        {'cartwright_dead_letters_total{group="audit",type="unreadable"}': "0x50 1x50"},
        {'cartwright_dead_letters_total{group="audit",type="order.placed"}': "0x50 1x50"},
    ),
    "BreakerOpen": Case(
        # It tries again every two seconds, so that a scrape may well find it half open.
        {'cartwright_breaker_open{job="orders",target="catalog",address="http://1"}': "1 0 1 1 1 0 1 1x100"},
        {'cartwright_breaker_open{job="orders",target="catalog",address="http://1"}': "1 1 0x100"},
    ),
    "RevocationsStale": gauge("cartwright_revocations_age_seconds", 40, 1.5, job="catalog"),
    "ProviderSilent": Case(provider(unknown=10), provider(unknown=1)),
    "PaymentAnomaly": Case(
        {'cartwright_payment_anomalies_total{job="payments"}': "0x50 1x50"},
        {'cartwright_payment_anomalies_total{job="payments"}': "1x100"},
    ),
    "NoMailGetsThrough": Case(mails(0, 1, 0, pending=3), mails(1, 1, 0, pending=3)),
    "MailWaits": gauge("cartwright_mails_oldest_pending_seconds", 3700, 3000, job="notifications"),
    "MailsGivenUp": Case(mails(80, 0, 20, pending=0), mails(99, 5, 1, pending=0), at="70m"),
    "BrokerBlocksPublishers": gauge("rabbitmq_alarms_free_disk_space_watermark", 1, 0, job="rabbitmq"),
    "QueueDeep": Case(queues(group=10_001, history=0), queues(group=9_000, history=1_000_000)),
}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    assert found is not None, "tests that take this are marked"
    return found


def checked(*command: str) -> None:
    completed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr


def looked_at(promtool: str, folder: Path, alert: str, case: Case, given: dict[str, str], *, raised: bool) -> None:
    """Has promtool tell whether, with these series, the alert is raised."""
    # With every label that its texts name: what is not there would be a gap in them.
    named = re.findall(r"\$labels\.(\w+)", str(ALERTS[alert]["annotations"]))
    there = "".join(f',{label}!=""' for label in sorted(set(named)))
    test = {
        "rule_files": [str(FOLDER / "alerts.yml")],
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": values} for name, values in given.items()],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"{there}}})',
                        "eval_time": case.at,
                        "exp_samples": [{"labels": "{}", "value": case.times}] if raised else [],
                    }
                ],
            }
        ],
    }
    file = folder / "test.yml"
    file.write_text(yaml.safe_dump(test))
    checked(promtool, "test", "rules", str(file))


@needs_promtool
def test_prometheus_accepts_the_configuration_and_the_rules(promtool: str) -> None:
    checked(promtool, "check", "config", str(FOLDER / "prometheus.yml"))


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_raised_when_it_should_be(promtool: str, tmp_path: Path, alert: str) -> None:
    looked_at(promtool, tmp_path, alert, CASES[alert], CASES[alert].raised_by, raised=True)


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_stays_silent_when_it_should(promtool: str, tmp_path: Path, alert: str) -> None:
    looked_at(promtool, tmp_path, alert, CASES[alert], CASES[alert].silent_with, raised=False)


def test_every_alert_has_a_case_and_says_how_bad_it_is_what_it_means_and_what_to_do() -> None:
    assert CASES.keys() == ALERTS.keys()
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert {"summary", "description"} == rule["annotations"].keys()


def test_every_command_that_an_alert_names_exists() -> None:
    main = (Path(__file__).parents[2] / "cli" / "cartwright" / "__main__.py").read_text()
    text = " ".join(rule["annotations"]["description"] for rule in ALERTS.values())
    commands = set(re.findall(r"cartwright (orders|dead-letters|events) (\w+)", text))
    assert {("orders", "stuck"), ("dead-letters", "redrive"), ("events", "replay")} <= commands
    for group, command in commands:
        assert f'@{group.replace("-", "_")}.command("{command}")' in main


def test_every_log_message_that_an_alert_quotes_is_logged() -> None:
    root = FOLDER.parents[1]
    sources = "".join(
        path.read_text() for folder in ("chassis/chassis", "services") for path in (root / folder).rglob("*.py")
    )
    quoted = {
        message
        for rule in ALERTS.values()
        for message in re.findall(r'"(\w+ [^"]+)"', rule["annotations"]["description"])
    }
    assert quoted
    assert {message for message in quoted if f'"{message}' not in sources} == set()


def test_every_metric_that_a_rule_reads_is_exported() -> None:
    for service in SERVICES:
        importlib.import_module(f"{service}.app")
    exported = {
        f"{metric.name}{suffix}"
        for metric in REGISTRY.collect()
        for suffix in {
            "counter": ("_total",),
            "histogram": ("_bucket", "_count", "_sum"),
        }.get(metric.type, ("",))
    }
    for group in RULES["groups"]:
        for rule in group["rules"]:
            # Without what stands in braces, which are labels, and without the names that rules give.
            read = set(_NAME.findall(re.sub(r"\{.*?\}|[\w:]*:[\w:]*", "", rule["expr"])))
            assert read - FOREIGN <= exported, rule


def test_every_part_is_scraped_at_all_of_its_addresses() -> None:
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert {job["job_name"] for job in scraped} == PARTS
    for job in scraped:
        (found,) = job["dns_sd_configs"]
        assert (found["names"], found["type"]) == ([job["job_name"]], "A")
    gone = ALERTS["PartGone"]["expr"]
    assert set(re.findall(r'job="(\w+)"', gone)) == PARTS
