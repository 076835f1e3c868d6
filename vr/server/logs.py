"""Logs of the server: one JSON object a line on standard error, with the validation id where there is one."""

import json
import logging
import sys
from datetime import UTC, datetime

__all__ = ["log_to_stderr"]


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Returns a record as one line."""
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if (id := getattr(record, "validation_id", None)) is not None:
            told["validation_id"] = id
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told)


def log_to_stderr() -> None:
    """Begins to log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    log = logging.getLogger("vr.server")
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
