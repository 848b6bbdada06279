"""What the start tells the parts of where their traces go."""

import pytest

from cartwright.launcher import launch
from cartwright.launcher.envoy import Address, Traces
from cartwright.launcher.errors import StartFailed


def test_without_a_collector_the_gateway_traces_nothing() -> None:
    assert launch._traces("", "1") is None


@pytest.mark.parametrize(
    ("endpoint", "collector", "path"),
    [
        ("http://localhost:4318", Address("localhost", 4318), "/v1/traces"),
        ("http://localhost:4318/", Address("localhost", 4318), "/v1/traces"),
        ("http://collector/otlp", Address("collector", 80), "/otlp/v1/traces"),
    ],
)
def test_the_gateway_sends_its_traces_where_the_services_send_theirs(
    endpoint: str, collector: Address, path: str
) -> None:
    assert launch._traces(endpoint, "0.25") == Traces(collector, path, 0.25)


@pytest.mark.parametrize(
    ("endpoint", "ratio", "names"),
    [
        ("https://collector:4318", "1", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("localhost:4318", "1", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("http://localhost:4318", "1.5", "OTEL_TRACES_SAMPLER_ARG"),
        ("http://localhost:4318", "nan", "OTEL_TRACES_SAMPLER_ARG"),
        ("http://localhost:4318", "often", "OTEL_TRACES_SAMPLER_ARG"),
    ],
)
def test_what_the_gateway_cannot_do_ends_the_start_with_the_variable_at_fault(
    endpoint: str, ratio: str, names: str
) -> None:
    with pytest.raises(StartFailed, match=names):
        launch._traces(endpoint, ratio)
