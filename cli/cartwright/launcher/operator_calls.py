"""Calls of an operator to the services: each at its own address, with the administrator's token.

The gateway has no routes to these. Audit records each act, with the actor and the reason.
"""

import urllib.parse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from cartwright.launcher import api
from cartwright.launcher.api import Api, require
from cartwright.launcher.errors import CannotGoOn
from cartwright.launcher.layout import PUBLISHERS
from cartwright.launcher.remote_system import RemoteSystem
from cartwright.launcher.system import System


def replay_events(data: Path, since: datetime, why: str) -> str:
    """A time without a zone is one of this machine."""
    system = api.open_running(data)
    body = {"since": since.astimezone().isoformat(), "reason": why}
    token = api.administrator(system).access_token
    counts = {
        service: act(open_service(system, service, token), "/journal/replay", body)["events"] for service in PUBLISHERS
    }
    told = ", ".join(f"{count} of {service}" for service, count in counts.items())
    return f"{sum(counts.values())} events or so are published again: {told}. Whoever had one leaves it at that."


def open_service(system: System | RemoteSystem, name: str, token: str | None = None) -> Api:
    """A replica of the service, asked as the first administrator: one that is ready, if any is."""
    replicas = [Api(url) for url in system.service_urls(name)]
    asked = next((replica for replica in replicas if _is_ready(replica)), replicas[0])
    return Api(asked.url, token or api.administrator(system).access_token)


def _is_ready(replica: Api) -> bool:
    try:
        return replica.get("/ready").status == 200
    except CannotGoOn:
        return False


def items(service: Api, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    """All items of a list, page by page."""
    cursor: str | None = None
    while True:
        query = parameters | {"limit": 100} | ({"cursor": cursor} if cursor else {})
        answer = service.get(f"{path}?{urllib.parse.urlencode(query)}")
        require(answer, f"{service.url}{path} could not be read")
        yield from answer.json["items"]
        cursor = answer.json["next_cursor"]
        if cursor is None:
            return


def act(service: Api, path: str, body: dict[str, str]) -> Any:
    answer = service.post(path, body)
    require(answer, "It was not done")
    return answer.json if answer.content else None
