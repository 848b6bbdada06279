"""Which proxies before the gateway are believed when they tell the client's address in `x-forwarded-for`."""

import ipaddress
from dataclasses import dataclass

HOPS_MAX = 10

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class TrustedProxies:
    """Either `hops`, the number of proxies that each request passes, or the `networks` that they are in.

    With `hops` the gateway must be reachable through the proxies alone: a client that connects directly could choose
    its address. With `networks` the word of any other peer is ignored.
    """

    hops: int = 0
    networks: tuple[Network, ...] = ()


def parse_trusted_proxies(text: str) -> TrustedProxies | None:
    """From `2` or from `10.0.0.0/8,fd00::/8`; None for an empty text or `0`. Raises ValueError with the reason."""
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    if len(words) == 1 and words[0].isascii() and words[0].isdecimal():
        hops = int(words[0])
        if hops > HOPS_MAX:
            raise ValueError(f"{hops} proxies before the gateway are more than {HOPS_MAX}")
        return TrustedProxies(hops=hops) if hops else None
    networks = tuple(_network(word) for word in words)
    return TrustedProxies(networks=networks) if networks else None


def _network(word: str) -> Network:
    try:
        return ipaddress.ip_network(word)
    except ValueError as error:
        raise ValueError(f"{word!r} is neither a number of proxies nor a network such as 10.0.0.0/8: {error}") from None
