"""Settings of the recommendations."""

from dataclasses import dataclass, field

from vr.core.errors import ConfigError
from vr.recommendation.prices import PricesConfig

__all__ = ["RecommendationConfig"]


@dataclass
class RecommendationConfig:
    """How much work is spent on what an action would buy, and what it costs."""

    measured: int = 3  # actions, first ones first, whose effect on the risk is measured on the sample; 0: none
    splits: int = 1  # splits of the null that an effect is measured on; each further one adds its time to every action
    mix_draws: int = 0  # draws of every mix by which the smallest approved share of real rows is sought; 0: not sought
    mix_steps: int = 9  # shares of real rows that are measured, evenly between none and all
    forecast_generations: int = 0  # that our own generators are refitted for, to tell when theirs collapse; 0: none
    prices: PricesConfig = field(default_factory=PricesConfig)

    def __post_init__(self) -> None:
        for name in ("measured", "mix_draws", "forecast_generations"):
            if (value := getattr(self, name)) < 0:
                raise ConfigError(f"must be 0 or more, not {value}", where=f"recommendation.{name}")
        if self.splits < 1:
            raise ConfigError(f"must be 1 or more, not {self.splits}", where="recommendation.splits")
        if not 2 <= self.mix_steps <= 99:
            raise ConfigError(f"must lie in 2 to 99, not {self.mix_steps}", where="recommendation.mix_steps")
