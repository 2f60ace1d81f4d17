"""How the driver writes its log: one event a line, as text or JSON, marked with the call it belongs to.

Everything goes through the standard library's handlers, so that what grpc and urllib3 say (warnings and
worse) looks and ends up the same. Two rules make the log safe to hand to others: tracebacks come without
local variables, which hold secrets, and nothing from outside can begin a line of its own.
"""

from __future__ import annotations

import json
import logging
from contextlib import AbstractContextManager
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")

_PACKAGE = "csi_solidfire"

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    # Python's own traceback, which shows no local variables; structlog's prettier ones can.
    structlog.processors.format_exc_info,
)

structlog.configure(
    processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module: `log = logs.get(__name__)`, then `log.info("what happened", volume=handle)`."""
    return structlog.stdlib.get_logger(name)


def bound(**values: str) -> AbstractContextManager[None]:
    """Put values on every line this thread writes within a `with`."""
    return structlog.contextvars.bound_contextvars(**values)


def configure(level: str, fmt: str, stream: TextIO) -> None:
    """Send the log to a stream, in place of wherever it went before.

    Args:
        level: One of `LEVELS`, for the driver's own modules; libraries stay at warning, whose debug output shows
            requests in full.
        fmt: One of `FORMATS`.
        stream: Where to.
    """
    render: Processor = _text if fmt == "text" else structlog.processors.JSONRenderer(default=str)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
            foreign_pre_chain=_SHARED,
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(_PACKAGE).setLevel(level.upper())
    logging.captureWarnings(capture=True)


def _text(_logger: object, _name: str, event: EventDict) -> str:
    """Render `<time> <LEVEL> <event> key=value …`, a traceback indented below."""
    head = [str(event.pop(key, "")) for key in ("timestamp", "level")]
    words = [head[0], f"{head[1].upper():7}", _printable(str(event.pop("event", "")))]
    traceback = event.pop("exception", None)
    logger = str(event.pop("logger", ""))
    words += [f"{key}={_word(value)}" for key, value in event.items()]
    words.append(f"logger={logger.removeprefix(_PACKAGE + '.')}")
    lines = [" ".join(words)]
    if traceback:
        lines += [f"    {_printable(line)}" for line in str(traceback).splitlines()]
    return "\n".join(lines)


def _word(value: object) -> str:
    """Return a value as one word, quoted if it would not be one."""
    text = str(value)
    plain = text.isprintable() and not any(mark in text for mark in ' "=')
    if plain and text:
        return text
    if text.isprintable() and "'" not in text:
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _printable(text: str) -> str:
    """Escape line breaks, terminal codes and the like."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
