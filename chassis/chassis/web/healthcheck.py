"""Asks the service in the same container how it is: the health check of an image that holds no curl and no shell.

`python -m chassis.web.healthcheck /ready` ends with 0 when the answer is 200, and with 1 otherwise. It runs every few
seconds beside each service, so it loads nothing that it can do without.
"""

import os
import socket
import sys

ANSWER_S_MAX = 2.0


def is_answered(port: int, path: str) -> bool:
    """Whether GET `path` on this machine's `port` is answered with 200 in time."""
    request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S_MAX) as connection:
            connection.sendall(request.encode())
            status_line = connection.makefile("rb").readline()
    except OSError:
        return False
    return status_line.split(b" ")[1:2] == [b"200"]


if __name__ == "__main__":
    sys.exit(0 if is_answered(int(os.environ["PORT"]), sys.argv[1]) else 1)
