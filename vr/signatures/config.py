"""Settings of the signature library and of the pre-screen."""

from dataclasses import dataclass

from vr.core.errors import ConfigError

__all__ = ["SignaturesConfig"]


@dataclass
class SignaturesConfig:
    """What a candidate's signature is compared with, and whether that may stop a run."""

    library: str | None = None  # SQLite file or SQLAlchemy URL of signatures of one's own; None: the shipped ones alone
    shipped: bool = True  # whether the signatures that vr ships take part
    neighbours: int = 5  # how many of the nearest the report names
    stop: bool = False  # train nothing where the pre-screen says `stop`; the verdict is then that of the statistics

    def __post_init__(self) -> None:
        if not 1 <= self.neighbours <= 100:
            raise ConfigError(f"must lie in 1 to 100, not {self.neighbours}", where="signatures.neighbours")
        if self.library is None and not self.shipped:
            raise ConfigError("leaves nothing to compare with", where="signatures.shipped", hint="name a library")
