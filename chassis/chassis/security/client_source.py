"""The source network of a request. It is for limits by source, and never identifies a person.

The gateway sets `x-client-address`, whatever the client has sent. A request that did not come through the gateway has
the address of its connection.
"""

import ipaddress

from chassis.security.access import Connection

HEADER = "x-client-address"
UNKNOWN = "unknown"
IPV6_PREFIX = 64
"""A household gets one such network: all addresses in it count as one source."""


def source_of(connection: Connection) -> str:
    """The IPv4 address or the IPv6 /64 of the client, as text; `unknown` where there is none."""
    given = connection.headers.get(HEADER) or (connection.client.host if connection.client else "")
    try:
        address = ipaddress.ip_address(given)
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(address), IPV6_PREFIX), strict=False))
    return str(address)
