"""How many items went together in each kind of batch, from the services' metrics."""

import re
from collections import defaultdict
from collections.abc import Mapping

import aiohttp

from cartwright.launcher.layout import SERVICES_WITH_DATABASE
from cartwright.launcher.system import System

CALL_S_MAX = 10.0
_LINE = re.compile(r'cartwright_batch_size_(sum|count)\{[^}]*batcher="([^"]*)"[^}]*\} (\S+)')


async def read(system: System) -> dict[str, tuple[float, float]]:
    """Items and batches since the services began, by service and batcher, of all replicas together."""
    items: defaultdict[str, float] = defaultdict(float)
    batches: defaultdict[str, float] = defaultdict(float)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S_MAX)) as http:
        for service in SERVICES_WITH_DATABASE:
            for replica in system.replicas:
                async with http.get(f"{system.service_url(service, replica)}/metrics") as answer:
                    text = await answer.text()
                for kind, batcher, value in _LINE.findall(text):
                    (items if kind == "sum" else batches)[f"{service}: {batcher}"] += float(value)
    return {name: (items[name], batches[name]) for name in batches}


def mean_sizes(before: Mapping[str, tuple[float, float]], after: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Of the batches between two readings."""
    sizes = {}
    for name, (items, batches) in sorted(after.items()):
        items_before, batches_before = before.get(name, (0.0, 0.0))
        if batches > batches_before:
            sizes[name] = round((items - items_before) / (batches - batches_before), 1)
    return sizes
