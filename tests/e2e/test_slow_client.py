"""A client that is slow on purpose. It starts with the bad requests, so that no test waits for it here."""

from concurrent.futures import Future

WAIT_SECONDS_MAX = 30


def test_a_body_that_trickles_is_given_up_on(slow_client: Future[bytes]) -> None:
    heard = slow_client.result(WAIT_SECONDS_MAX)
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b'"request_timeout"' in heard
