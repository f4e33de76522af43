"""The service's log: one JSON object per line on standard output, with nothing about a customer.

The message of an exception may quote a feature value or a customer id, so a line names only the exception's type and where it was
raised. Belongs here: the form of a line. Does not belong here: who writes which line.
"""

import logging
import traceback
from datetime import UTC, datetime
from typing import Any

import msgspec

from churn_api.telemetry.line_writer import LineWriter, PromptWriter

LOGGER = logging.getLogger("churn_api")


def say(event: str, level: int = logging.INFO, **fields: object) -> None:
    """Write a line about the service itself, such as ``say("release_loaded", epoch=3)``."""
    LOGGER.log(level, event, extra={"fields": fields})


def where_raised(error: BaseException) -> str:
    """The exception's type and the innermost place it came through, without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


class JsonLines(logging.Formatter):
    """A log record as one JSON object.

    Args:
        worker: number of this process among several, which every line names; ``None`` for the only one.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "event": record.getMessage() if record.name == LOGGER.name else _known(record),
        }
        line.update(self._worker)
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = where_raised(record.exc_info[1])
        return msgspec.json.encode(line).decode()


class QueuedLines(logging.Handler):
    """Hands records to a writer as lines.

    Args:
        writer: writer of the lines.
        worker: number of this process among several.
    """

    def __init__(self, writer: LineWriter | PromptWriter, worker: int | None) -> None:
        super().__init__()
        self.setFormatter(JsonLines(worker))
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one record."""
        self._writer.put(self.format(record).encode() + b"\n")


def log_to(writer: LineWriter | PromptWriter, level: int = logging.INFO, *, worker: int | None = None) -> None:
    """Make this process write the log lines of all libraries in this form, with its number among several."""
    logging.basicConfig(level=logging.WARNING, handlers=[QueuedLines(writer, worker)], force=True)
    LOGGER.setLevel(level)


def _known(record: logging.LogRecord) -> str:
    """The template of a library's message; its arguments could be anything."""
    return f"{record.name}: {str(record.msg).strip()}"
