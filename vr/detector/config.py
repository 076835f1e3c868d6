"""Settings of the nulls, the eight dimensions and the verdict."""

from dataclasses import dataclass, field

from vr.core.errors import ConfigError

__all__ = ["DetectorConfig", "DimensionConfig", "NullConfig"]

DIMENSIONS = (
    "distribution_fidelity",
    "correlation_preservation",
    "entropy_stability",
    "gradient_health",
    "loss_landscape",
    "spectral_coherence",
    "generalization_gap",
    "statistical_consistency",
)


@dataclass
class NullConfig:
    """What the reference gives against itself."""

    num_splits: int = 8  # disjoint halves of the reference; fewer add noise rather than take it away
    max_rows: int = 2_000  # rows on each side of a comparison

    def __post_init__(self) -> None:
        if self.num_splits < 8:
            raise ConfigError(
                f"must be 8 or more, not {self.num_splits}",
                where="detector.null.num_splits",
                hint="fewer splits make the null noisier than no null at all",
            )
        if self.max_rows < 50:
            raise ConfigError(f"must be 50 or more, not {self.max_rows}", where="detector.null.max_rows")


@dataclass
class DimensionConfig:
    """Pass mark of one dimension."""

    threshold: float | None = None  # score (0 to 100) below which it fails; None: as calibrated

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 100:
            raise ConfigError(f"must lie in 0 to 100, not {self.threshold}", where="detector.dimensions.*.threshold")


@dataclass
class DetectorConfig:
    """The detector: nulls, dimensions, and the risk scores at which the verdict turns."""

    overall_threshold: float | None = None  # risk score (0 to 100) from which to `reject`; None: as calibrated
    review_threshold: float | None = None  # risk score from which to `review`; None: as calibrated
    null: NullConfig = field(default_factory=NullConfig)
    dimensions: dict[str, DimensionConfig] = field(
        default_factory=lambda: {name: DimensionConfig() for name in DIMENSIONS}
    )

    def __post_init__(self) -> None:
        review, reject = self.review_threshold, self.overall_threshold
        if not 0 <= (0 if review is None else review) <= (100 if reject is None else reject) <= 100:
            raise ConfigError(
                f"needs 0 <= review_threshold ({review}) <= overall_threshold ({reject}) <= 100", where="detector"
            )
        unknown = sorted(set(self.dimensions) - set(DIMENSIONS))
        if unknown:
            raise ConfigError(f"no such dimension: {', '.join(unknown)}", where="detector.dimensions")
