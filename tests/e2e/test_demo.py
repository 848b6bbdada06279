"""The demo is the first thing that a newcomer runs: it works, again and again, and says when it cannot."""

from pathlib import Path

from cartwright.launcher.api import Api
from cartwright.testkit.system import SystemUnderTest

KEYBOARD = "019a0000-0000-7000-8000-000000000001"


def test_the_demo_comes_out_as_promised_and_restocks_what_has_run_short(
    system: SystemUnderTest, gateway: Api, administrator: Api
) -> None:
    stock = gateway.get(f"/products/{KEYBOARD}").json["stock"]
    sold_out = {"quantity": 1 - stock, "reason": "sold elsewhere"}
    assert administrator.post(f"/products/{KEYBOARD}/stock-adjustments", sold_out).status == 201
    told = system.run("demo").stdout
    assert "the administrator puts more into stock" in told
    assert "All of it came out as promised" in told


def test_without_a_system_the_demo_says_so(tmp_path: Path, system: SystemUnderTest) -> None:
    refused = SystemUnderTest(tmp_path / "nothing", system.port).attempt("demo")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "There is no system" in refused.stderr
