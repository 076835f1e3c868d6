"""Logs of the server: one JSON object a line on standard error, with the validation id where there is one."""

import json
import logging
import sys
from datetime import UTC, datetime

__all__ = ["log_to_stderr"]


_MORE = ("validation_id", "job_id", "traceback")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Returns a record as one line."""
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        told |= {name: value for name in _MORE if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told)


def log_to_stderr(*names: str) -> None:
    """Begins to log what loggers of these names, or else the server's, are told."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    for name in names or ("vr.server",):
        log = logging.getLogger(name)
        log.handlers = [handler]
        log.setLevel(logging.INFO)
        log.propagate = False
