"""What a trained cascade says: one entry for each model, paired readings with their nulls, and the extrapolation."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from vr.cascade.networks import Networks

__all__ = ["NO_NULL", "CascadeResult", "ModelResult", "Reading", "TierResult", "finite"]

NO_NULL = "no null: these proxies trained no second part of the reference for it"


def finite(value: Any) -> float | None:
    """Returns a float, or None for what is not finite: a report holds no NaN."""
    return None if value is None or not np.isfinite(value) else float(value)


@dataclass(frozen=True)
class Reading:
    """A paired quantity: candidate against reference, beside the same of two parts of the reference.

    Attributes:
      value: Mean over seeds (and tiers, where it says so); None where it could not be computed.
      spread: Standard deviation over seeds (a jackknife error where the seeds are pooled before a ratio is taken); None
        with one seed.
      null_mean: Mean over seeds of the third arm's, None where there is no third arm.
      null_std: The third arm's spread.
      reason: Why the value, or its null, is None.
    """

    value: float | None
    spread: float | None = None
    null_mean: float | None = None
    null_std: float | None = None
    reason: str | None = None

    @classmethod
    def of(cls, values: Any, nulls: Any = ()) -> "Reading":
        """Returns the reading of values over seeds; what is not finite is left out."""
        x, y = np.asarray(values, float), np.asarray(nulls, float)
        x, y = x[np.isfinite(x)], y[np.isfinite(y)]
        if not len(x):
            return cls(None, reason="no member gave a finite value")
        spread = float(x.std(ddof=1)) if len(x) > 1 else None
        if len(y) < 2:
            return cls(float(x.mean()), spread, reason=NO_NULL)
        return cls(float(x.mean()), spread, float(y.mean()), float(y.std(ddof=1)))


@dataclass(frozen=True)
class ModelResult:
    """One trained proxy.

    Attributes:
      arm: `reference`, `candidate`, `null` (another part of the reference), or the first two on half the rows.
      status: `trained` or `diverged`.
      loss: `losses["all"]`.
      losses: Mean negative log-likelihood of a held-out real cell in nats: `all` (each cell left out), `half` (half of
        the cells hidden), `rare` (the least likely tenth of rows, each cell left out).
      loss_curve: Loss on held-out rows whose cells are hidden at random (`loss`) by training rows seen (`rows`).
      gradient_norm: min, median, max over the second half of training.
      layer_gradient_norm: By layer, the mean over the second half of training.
      spectral_entropy: Of `energy` as shares, in nats; 0 where all of it is at one frequency.
      spectral_concentration: Sum of its squared shares; 1 where all of it is at one frequency, 1 / F where it is even.
      representation_rank: Effective rank of what the head is given on held-out real rows, nothing hidden.
      energy: Mean energy by frequency over the columns: of the gated spectrum, summed over blocks, or, for the control,
        of its cell vectors.
    """

    tier: str
    seed: int
    arm: str
    status: str
    parameters: int
    loss: float | None
    losses: dict[str, float | None]
    loss_curve: dict[str, list[float | None]]
    gradient_norm: dict[str, float | None]
    spectral_entropy: float | None
    energy: list[float]
    top_eigenvalue: float | None = None
    layer_gradient_norm: dict[str, float | None] = field(default_factory=dict)
    spectral_concentration: float | None = None
    representation_rank: float | None = None


@dataclass(frozen=True)
class TierResult:
    """One tier: its shape, its paired log-ratios log(L_candidate / L_reference), and what they cost."""

    name: str
    network: str
    parameters: int
    width: int
    depth: int
    seeds: int
    steps: int
    train_rows: int
    test_rows: int
    prior_loss: float | None
    execution: str
    seconds: float
    learning_rate: float | None = None
    readings: dict[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True)
class CascadeResult:
    """All tiers, all models, the readings pooled over tiers, and the extrapolation (None with fewer than two tiers).

    `networks` are the smallest tier's, where they were asked for; no report holds them.
    """

    tiers: tuple[TierResult, ...]
    models: tuple[ModelResult, ...]
    readings: dict[str, Reading]
    scaling: dict[str, Any] | None
    networks: "Networks | None" = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-able values without NaN."""
        return {
            "tiers": [asdict(tier) for tier in self.tiers],
            "models": [asdict(model) for model in self.models],
            "readings": {name: asdict(reading) for name, reading in self.readings.items()},
            "scaling": self.scaling,
        }
