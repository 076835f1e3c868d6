"""Progress events: what a long run tells whoever watches it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vr.cascade.progress import Progress

__all__ = ["Event", "ProgressCallback"]


@dataclass(frozen=True)
class Event:
    """One step forward.

    Attributes:
      stage: `read`, `profile`, `sample`, `prescreen`, `cascade`, `statistics`, `localize`,
        `recommend`, `report`; of `vr fix`, `fix`.
      done: Units finished in this stage.
      total: Units in this stage, or None where not known beforehand.
      message: For a person.
      values: Numbers for a tracker, such as {"cascade/tier_1/eta_seconds": 12.0}.
      training: Of the stage `cascade`: tier, member, step, loss, pace, memory, each by itself.
      is_notice: It is said once and ought to be seen, whatever else is shown.
    """

    stage: str
    done: float
    total: float | None
    message: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    training: "Progress | None" = None
    is_notice: bool = False


ProgressCallback = Callable[[Event], None]
