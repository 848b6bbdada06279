"""JSON lines on standard output, each with the service's name and the correlation id of the work it tells of."""

import asyncio
import contextlib
import json
import logging
import sys
from typing import Any, BinaryIO, cast

import msgspec
import structlog

from chassis import context

_encoder = msgspec.json.Encoder(enc_hook=str)


def configure(service: str, level: str = "info") -> None:
    """Send the logs of structlog and of the standard library to standard output, a JSON object a line.

    Each line has `timestamp` (RFC 3339, UTC, microseconds), `level`, `event`, `service` and, within a piece of work,
    `correlation_id`.
    """
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)

    def identify(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("service", service)
        if "correlation_id" not in event and (correlation := context._correlation_id.get()) is not None:
            event["correlation_id"] = correlation
        if (trace := context.traceparent()) is not None:
            event.setdefault("trace_id", trace[3:35])
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        identify,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_serialize)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", _Output(sys.stdout.buffer))),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=_serialize_text),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    # The client of RabbitMQ tells of each attempt to connect; an outage is told once, by who connects.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)


class _Output:
    """A file that is flushed once for all that one round of the event loop writes.

    A flush is a system call here and another one in the collector of the logs. A process that is killed loses the lines
    of its last round; one that ends by itself loses nothing. If the collector is gone, or its disk is full, the lines
    are lost and nothing else is: the work that a line reports is done before.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._is_due = False

    def write(self, line: bytes) -> int:
        with contextlib.suppress(OSError):
            self._file.write(line)
        return len(line)

    def flush(self) -> None:
        if self._is_due:
            return
        try:
            asyncio.get_running_loop().call_soon(self._flush_now)
        except RuntimeError:
            self._flush_now()
        else:
            self._is_due = True

    def _flush_now(self) -> None:
        self._is_due = False
        with contextlib.suppress(OSError):
            self._file.flush()


def _serialize(event: Any, **_: Any) -> bytes:
    try:
        return _encoder.encode(event)
    except (UnicodeEncodeError, TypeError):
        # Half a surrogate pair, or a key that JSON does not have: telling of it must not fail what is told of.
        return json.dumps(event, default=str, skipkeys=True, ensure_ascii=False).encode(errors="replace")


def _serialize_text(event: Any, **_: Any) -> str:
    return _serialize(event).decode()
