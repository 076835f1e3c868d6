"""The whole configuration of a run, as plain dataclasses; the doors compose it, nothing below them sees Hydra."""

from dataclasses import dataclass, field
from enum import Enum

from vr.cascade.config import CascadeConfig
from vr.core.errors import ConfigError
from vr.data.config import CodecConfig, DataConfig, ReadingConfig, SampleConfig
from vr.detector.config import DetectorConfig
from vr.localization.config import LocalizationConfig
from vr.recommendation.config import RecommendationConfig
from vr.signatures.config import SignaturesConfig

__all__ = ["MOST_TARGETS", "Config", "EngineConfig", "EngineKind", "TrackerKind", "TrackingConfig"]

MOST_TARGETS = 10


class EngineKind(Enum):
    """Where the passes over the rows run."""

    local = "local"
    ray = "ray"


@dataclass
class EngineConfig:
    """The engine of the passes over all rows; none of it changes a result."""

    kind: EngineKind = EngineKind.local
    threads: int = 0  # of this process; 0: one for each core
    partition_rows: int = 0  # rows that are done, kept and sent at a time; 0: as many as have 2**26 cells
    cache: str | None = None  # folder where what was profiled is kept for later runs; null: only until the run is done
    cache_bytes: int = 10 << 30  # of it; beyond them what was of no use for longest is removed
    address: str | None = None  # of the Ray cluster; null: one of this machine alone, for this run
    workers: int = 0  # partitions that Ray works on at a time; 0: one for each processor of the cluster
    retries: int = 3  # of a partition whose worker is lost
    object_store_bytes: int = 256 << 20  # of a Ray cluster of this machine alone

    def __post_init__(self) -> None:
        for name in ("threads", "partition_rows", "cache_bytes", "workers", "retries"):
            if (value := getattr(self, name)) < 0:
                meaning = "0 (one for each core) or more" if name == "threads" else "0 or more"
                raise ConfigError(f"must be {meaning}, not {value}", where=f"engine.{name}")
        # Ray itself starts with no less.
        if self.object_store_bytes < 80 << 20:
            raise ConfigError(
                f"must be {80 << 20} or more, not {self.object_store_bytes}", where="engine.object_store_bytes"
            )


class TrackerKind(Enum):
    """Where metrics go beside the report."""

    none = "none"
    wandb = "wandb"


@dataclass
class TrackingConfig:
    """Experiment tracking; a tracker that hangs or fails never stops a run."""

    kind: TrackerKind = TrackerKind.none
    project: str = "vr"
    mode: str = "offline"  # W&B's own words: offline, online, disabled
    timeout_s: float = 30.0  # longest wait for the tracker at its start and at its end

    def __post_init__(self) -> None:
        if self.mode not in ("offline", "online", "disabled"):
            raise ConfigError(f"{self.mode!r} is not offline, online or disabled", where="tracking.mode")
        # A day: what threads can wait for is bounded, and NaN lies in no range.
        if not 0 < self.timeout_s <= 86_400:
            raise ConfigError(f"must lie above 0, up to 86,400, not {self.timeout_s:g}", where="tracking.timeout_s")


@dataclass
class Config:
    """Everything a run depends on beside its inputs."""

    data: DataConfig = field(default_factory=DataConfig)
    reference: DataConfig = field(default_factory=DataConfig)
    reading: ReadingConfig = field(default_factory=ReadingConfig)
    codec: CodecConfig = field(default_factory=CodecConfig)
    sample: SampleConfig = field(default_factory=SampleConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    cascade: CascadeConfig = field(default_factory=CascadeConfig)
    localization: LocalizationConfig = field(default_factory=LocalizationConfig)
    recommendation: RecommendationConfig = field(default_factory=RecommendationConfig)
    signatures: SignaturesConfig = field(default_factory=SignaturesConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    targets: list[str] = field(default_factory=list)  # columns that the model is to predict; none: all of them count
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.targets, str):
            raise ConfigError("must be a list of columns", where="targets", hint=f"[{self.targets}]")
        if len(self.targets) > MOST_TARGETS:
            raise ConfigError(f"names {len(self.targets)} columns", where="targets", hint=f"{MOST_TARGETS} at most")
        if twice := [name for name in self.targets if self.targets.count(name) > 1]:
            raise ConfigError(f"names column '{twice[0]}' twice", where="targets")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"must lie in 0 to 2**32 - 1, not {self.seed}", where="seed")
        if self.recommendation.history and self.signatures.library is None:
            raise ConfigError(
                "has no history to read", where="recommendation.history", hint="name a signatures.library"
            )
