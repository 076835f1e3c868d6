"""Settings of the signature library and of the pre-screen."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from vr.core.errors import ConfigError

__all__ = ["SignaturesConfig"]

# User and password as SQLAlchemy reads them; a URL without a host, as of a file, has neither.
_PASSWORD = re.compile(r"[^:/]*:[^@]*@")


@dataclass
class SignaturesConfig:
    """What a candidate's signature is compared with, and whether that may stop a run."""

    library: str | None = None  # SQLite file or PostgreSQL URL of signatures of one's own; None: the shipped ones alone
    shipped: bool = True  # whether the signatures that vr ships take part
    history: bool = True  # keep in that library what was recommended, applied and measured; changes no report
    neighbours: int = 5  # how many of the nearest the report names
    stop: bool = False  # train nothing where the pre-screen says `stop`; the verdict is then that of the statistics

    def __post_init__(self) -> None:
        if self.library is not None and _holds_password(self.library):
            # Settings are shown: in the report, on its page and in trackers.
            raise ConfigError(
                "holds a password",
                where="signatures.library",
                hint="leave it out and set PGPASSWORD, or put it into ~/.pgpass",
            )
        if not 1 <= self.neighbours <= 100:
            raise ConfigError(f"must lie in 1 to 100, not {self.neighbours}", where="signatures.neighbours")
        if self.library is None and not self.shipped:
            raise ConfigError("leaves nothing to compare with", where="signatures.shipped", hint="name a library")


def _holds_password(place: str) -> bool:
    _, is_url, rest = place.partition("://")
    if not is_url:
        return False
    names = [name.casefold() for name, _ in parse_qsl(rest.partition("?")[2], keep_blank_values=True)]
    return _PASSWORD.match(rest) is not None or any(name.endswith(("password", "passwd", "pwd")) for name in names)
