"""What every part tells Prometheus, asked of a running system."""

import re
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cartwright.launcher.layout import SERVICES
from cartwright.testkit.system import SystemUnderTest

# What the alerts read of the gateway (deploy/observability/alerts.yml).
OF_THE_GATEWAY = {"envoy_http_downstream_rq_xx"}


def scraped(url: str) -> tuple[str, set[str]]:
    """The media type, and the names of all samples."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
        assert list(text_string_to_metric_families(text))
        # Not as they were parsed: that gives counters an ending which Envoy's do not have.
        names = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
        return answer.headers.get_content_type(), names


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_can_be_scraped(system: SystemUnderTest, service: str) -> None:
    media_type, names = scraped(f"{system.opened().service_url(service)}/metrics")
    assert media_type == "text/plain"
    assert {"cartwright_ready", "cartwright_http_request_duration_seconds_count", "process_start_time_seconds"} <= names


def test_the_gateway_can_be_scraped_and_tells_what_the_alerts_read(system: SystemUnderTest) -> None:
    media_type, names = scraped(f"http://127.0.0.1:{system.opened().ports.envoy_admin}/stats/prometheus")
    assert media_type == "text/plain"
    assert names >= OF_THE_GATEWAY
