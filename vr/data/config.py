"""Settings of what is read, how it is coded and how much of it is sampled."""

import os
from dataclasses import dataclass, field
from enum import Enum

from vr.core.errors import ConfigError

__all__ = ["CodecConfig", "DataConfig", "Isolation", "ReadingConfig", "SampleConfig", "is_isolated"]


@dataclass
class DataConfig:
    """One dataset: where it is, what it is."""

    uri: str | None = None  # a file, a folder, a glob, or an s3:// or gs:// URI
    format: str | None = None  # overrides what the name says: parquet, csv, jsonl ...
    types: dict[str, str] = field(default_factory=dict)  # column -> numeric, categorical, datetime, text or ignore
    batch_rows: int = 65_536  # rows decoded at a time; changes memory, never the result

    def __post_init__(self) -> None:
        # The candidate's and the reference's settings are both of this class, so no section is named.
        if self.batch_rows < 1:
            raise ConfigError(f"must be 1 or more, not {self.batch_rows}", where="batch_rows")
        kinds = ("numeric", "categorical", "datetime", "text", "ignore")
        for column, kind in self.types.items():
            if kind not in kinds:
                raise ConfigError(f"{kind!r} is no column type", where=f"types.{column}", hint=f"use one of {kinds}")


_LONGEST_S, _MOST_BYTES = 1e7, 1 << 60  # beyond which a system cannot count


class Isolation(Enum):
    """Whether files are parsed in a process of their own, which may crash or be stopped without harm."""

    auto = "auto"  # where the system can: not on Windows
    always = "always"
    never = "never"  # for files that can be trusted: it spares half a second a run, and a tenth of each pass


@dataclass
class ReadingConfig:
    """What reading a dataset may take, candidate and reference alike; more is a `DataError` that names the limit.

    None of it changes a result.
    """

    isolation: Isolation = Isolation.auto
    memory_bytes: int = 2 << 30  # data segment of a process that reads in isolation
    silence_s: float = 60.0  # seconds waited for it to get on
    processor_s: float = 120.0  # processor seconds it may take without getting on
    batch_bytes: int = 1 << 30  # decoded bytes of one batch
    expansion: int = 200  # decoded bytes for each stored one, once they exceed a GiB
    row_bytes: int = 64 << 20  # text of one row in csv and json
    columns: int = 20_000

    def __post_init__(self) -> None:
        # Python and pyarrow alone take a tenth of the least memory.
        least = {"memory_bytes": 256 << 20, "batch_bytes": 1 << 20, "row_bytes": 1 << 10, "columns": 1, "expansion": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"must be {low} or more, not {getattr(self, name)}", where=f"reading.{name}")
        for name in ("silence_s", "processor_s"):
            value = getattr(self, name)
            if not 1.0 <= value <= _LONGEST_S:
                raise ConfigError(f"must be 1 to {_LONGEST_S:g}, not {value:g}", where=f"reading.{name}")
        if self.memory_bytes > _MOST_BYTES:
            raise ConfigError(f"must be {_MOST_BYTES} or less, not {self.memory_bytes}", where="reading.memory_bytes")


def is_isolated(isolation: Isolation) -> bool:
    """Returns whether files are to be parsed in a process of their own.

    Raises:
      ConfigError: if they are, and this system cannot.
    """
    if isolation is Isolation.always and os.name != "posix":
        raise ConfigError("is not possible on this system", where="reading.isolation", hint="use auto or never")
    return isolation is not Isolation.never and os.name == "posix"


@dataclass
class CodecConfig:
    """How columns become small integers; fitted on the reference."""

    num_bins: int = 16  # quantile bins of a numeric column, beside those for null, below, above and point masses
    max_categories: int = 48  # categories with a code of their own; the rest share `other`
    max_text_clusters: int = 24  # cluster codes of a text column
    min_text_length: int = 40  # mean characters from which a string column of many values counts as text

    def __post_init__(self) -> None:
        for name, low, high in (("num_bins", 2, 4096), ("max_categories", 2, 4096), ("max_text_clusters", 2, 1024)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"must lie in {low} to {high}, not {value}", where=f"codec.{name}")
        if self.min_text_length < 0:
            raise ConfigError(f"must be 0 or more, not {self.min_text_length}", where="codec.min_text_length")


@dataclass
class SampleConfig:
    """How many rows of each dataset the statistics and the cascade see; the profile sees all of them."""

    rows: int = 20_000
    cells: int = 4_000_000  # fewer rows of wide tables, whose sample would fill the memory: from 200 columns on

    def __post_init__(self) -> None:
        if self.rows < 100:
            raise ConfigError(f"must be 100 or more, not {self.rows}", where="sample.rows")
        if self.cells < 10_000:
            raise ConfigError(f"must be 10,000 or more, not {self.cells}", where="sample.cells")

    def rows_of(self, num_columns: int) -> int:
        """Returns the rows of a sample with so many columns, 100 or more."""
        return min(self.rows, max(100, self.cells // max(1, num_columns)))
