"""Settings of the recommendations."""

from dataclasses import dataclass

from vr.core.errors import ConfigError

__all__ = ["RecommendationConfig"]


@dataclass
class RecommendationConfig:
    """How much work is spent on what an action would buy."""

    measured: int = 3  # actions, first ones first, whose effect on the risk is measured on the sample; 0: none
    splits: int = 1  # splits of the null that an effect is measured on; each further one adds its time to every action

    def __post_init__(self) -> None:
        if self.measured < 0:
            raise ConfigError(f"must be 0 or more, not {self.measured}", where="recommendation.measured")
        if self.splits < 1:
            raise ConfigError(f"must be 1 or more, not {self.splits}", where="recommendation.splits")
