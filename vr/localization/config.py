"""Settings of the row scores."""

from dataclasses import dataclass

from vr.core.errors import ConfigError

__all__ = ["LocalizationConfig"]


@dataclass
class LocalizationConfig:
    """Which rows are scored and how many are listed; row_scores.parquet always holds every row."""

    max_rows: int = 1_000  # rows listed in the report
    reference_rows: int = 2_000  # reference rows that distances are measured to
    max_distance_rows: int = 50_000  # rows whose distances are measured; in a longer file the least likely ones
    influence: bool = False  # the proxies' influence of the listed rows on the loss on real rows
    gradients: bool = False  # the proxies' loss of the hundred worst rows shared out over their cells

    def __post_init__(self) -> None:
        if self.max_rows < 0:
            raise ConfigError(f"must be 0 or more, not {self.max_rows}", where="localization.max_rows")
        if self.reference_rows < 50:
            raise ConfigError(f"must be 50 or more, not {self.reference_rows}", where="localization.reference_rows")
