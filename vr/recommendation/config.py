"""Settings of the recommendations."""

from dataclasses import dataclass, field

from vr.core.errors import ConfigError

__all__ = ["PricesConfig", "RecommendationConfig"]


@dataclass
class PricesConfig:
    """A price table: what rows and computing cost whoever has to decide. `conf/prices/` has some to start from."""

    currency: str = "USD"
    real_row: float = 0.1  # to collect and label one more real row
    made_row: float = 0.001  # to generate one more row in the place of one that is removed
    core_hour: float = 0.05  # one processor core for an hour
    cells_per_core_second: float = 2e6  # read, decided on or written by `vr fix`

    def __post_init__(self) -> None:
        for name in ("real_row", "made_row", "core_hour"):
            if not 0.0 <= (value := getattr(self, name)) < float("inf"):
                raise ConfigError(f"must be 0 or more, not {value:g}", where=f"recommendation.prices.{name}")
        if not 0.0 < self.cells_per_core_second < float("inf"):
            raise ConfigError(
                f"must be above 0, not {self.cells_per_core_second:g}",
                where="recommendation.prices.cells_per_core_second",
            )


@dataclass
class RecommendationConfig:
    """How much work is spent on what an action would buy, and what it costs."""

    measured: int = 3  # actions, first ones first, whose effect on the risk is measured on the sample; 0: none
    splits: int = 1  # splits of the null that an effect is measured on; each further one adds its time to every action
    mix_draws: int = 0  # draws of every mix by which the smallest approved share of real rows is sought; 0: not sought
    mix_steps: int = 9  # shares of real rows that are measured, evenly between none and all
    forecast_generations: int = 0  # that our own generators are refitted for, to tell when theirs collapse; 0: none
    history: bool = False  # move predicted risks by the errors of earlier ones in the history of `signatures.library`
    prices: PricesConfig = field(default_factory=PricesConfig)

    def __post_init__(self) -> None:
        for name in ("measured", "mix_draws", "forecast_generations"):
            if (value := getattr(self, name)) < 0:
                raise ConfigError(f"must be 0 or more, not {value}", where=f"recommendation.{name}")
        if self.splits < 1:
            raise ConfigError(f"must be 1 or more, not {self.splits}", where="recommendation.splits")
        if not 2 <= self.mix_steps <= 99:
            raise ConfigError(f"must lie in 2 to 99, not {self.mix_steps}", where="recommendation.mix_steps")
