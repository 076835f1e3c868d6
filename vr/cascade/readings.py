"""Paired readings of a tier: candidate-trained members against reference-trained ones, seed by seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vr.cascade.result import Reading

__all__ = ["ArmOutcome", "MemberOutcome", "all_and_rare", "tier_readings"]

READINGS = ("all", "half", "rare")
_MIN_SKILL = 0.05  # share of the marginal's loss that real data must save on a column for its loss of skill to count
_RARE = 0.1  # share of the judging rows, the least likely under their own marginals


@dataclass(frozen=True)
class ArmOutcome:
    """One trained and judged arm, in NumPy."""

    losses: dict[str, float]
    by_column: np.ndarray  # float `[2, p]`: loss of each judged column, over all and over rare rows
    curve: np.ndarray
    gradient_norm: dict[str, float]
    energy: np.ndarray
    spectral_entropy: float
    top_eigenvalue: float | None
    layer_norms: np.ndarray  # float `[L]`, means over the second half of training
    spectral_concentration: float
    representation_rank: float

    @classmethod
    def of(cls, trained: Any, judged: Any, eigenvalue: Any, rarity: np.ndarray) -> "ArmOutcome":
        """Puts together what the programs returned; `rarity` `[m]` says which judging rows are rare."""
        left_out = np.asarray(judged.left_out)
        by_row, rare = left_out.mean(axis=0), rare_rows(rarity)
        norms = np.asarray(trained.gradient_norms)[len(trained.gradient_norms) // 2 :]
        energy = np.asarray(judged.energy, float)
        # A member that diverged may have infinite energy, and no spectrum.
        total = energy.sum() if np.isfinite(energy.sum()) else np.nan
        shares = energy / max(float(total), 1e-12)
        return cls(
            losses={
                "all": float(by_row.mean()),
                "half": float(judged.half.mean()),
                "rare": float(by_row[rare].mean()),
            },
            by_column=all_and_rare(left_out.T, rarity),
            curve=np.asarray(trained.curve),
            gradient_norm={"min": float(norms.min()), "median": float(np.median(norms)), "max": float(norms.max())},
            energy=energy,
            spectral_entropy=float(-np.sum(shares * np.log(np.maximum(shares, 1e-12)))) if len(shares) > 1 else np.nan,
            top_eigenvalue=None if eigenvalue is None else float(eigenvalue),
            layer_norms=np.asarray(trained.layer_norms, float)[len(trained.layer_norms) // 2 :].mean(axis=0),
            spectral_concentration=float(np.sum(shares**2)) if len(shares) > 1 else np.nan,
            representation_rank=float(judged.rank),
        )

    @property
    def trained(self) -> bool:
        """False where the member diverged."""
        return bool(np.isfinite(self.losses["all"]) and np.isfinite(self.curve).all())


@dataclass(frozen=True)
class MemberOutcome:
    """One seed: its arms, and the loss of predicting the marginals, float `[2, p]` as in `ArmOutcome.by_column`."""

    member: int
    arms: dict[str, ArmOutcome]
    prior: np.ndarray


def rare_rows(rarity: np.ndarray) -> np.ndarray:
    """Returns the positions of the tenth of rows of greatest `rarity` `[m]`, at least one."""
    return np.argsort(-rarity, kind="stable")[: max(1, int(_RARE * len(rarity)))]


def all_and_rare(cells: np.ndarray, rarity: np.ndarray) -> np.ndarray:
    """Returns the means of `cells` `[m, p]` over all rows and over the rare ones, `[2, p]`."""
    return np.stack([cells.mean(axis=0), cells[rare_rows(rarity)].mean(axis=0)])


def tier_readings(outcomes: list[MemberOutcome], products: dict[str, list[Any]], batch_rows: int) -> dict[str, Reading]:
    """Returns the tier's readings; a quantity that no arm gives is left out.

    Args:
      outcomes: One for each seed.
      products: `GradientProducts` by arm (`candidate`, `null`), one for each seed; empty where not probed.
      batch_rows: Rows in a half-batch of the products.
    """
    readings = {
        f"log_ratio_{name}": _paired(outcomes, lambda a, b, n=name: np.log(a.losses[n] / b.losses[n]))
        for name in READINGS
    }
    readings["skill_lost"] = _skill_lost(outcomes, 0)
    readings["skill_lost_rare"] = _skill_lost(outcomes, 1)
    readings["gradient_range_change"] = _paired(outcomes, lambda a, b: _range(a) - _range(b))
    if all(len(o.arms["reference"].energy) > 1 for o in outcomes):
        readings["spectrum_divergence"] = _paired(outcomes, lambda a, b: _divergence(a.energy, b.energy))
    if outcomes[0].arms["reference"].top_eigenvalue is not None:
        readings["curvature_change"] = _paired(outcomes, _curvature)
    if "candidate_half" in outcomes[0].arms:
        readings["plateau"] = Reading.of([_plateau(o.arms) for o in outcomes])
    if products:
        from vr.cascade.probes import noise_trace, pooled_cosine

        cosines = {arm: _jackknife(found, pooled_cosine) for arm, found in products.items()}
        readings["gradient_cosine"] = Reading(
            cosines["candidate"][0],
            cosines["candidate"][1],
            cosines["null"][0],
            cosines["null"][1],
            None if cosines["candidate"][0] is not None else "the gradient drowns in its noise",
        )
        traces = {
            arm: [
                np.log(
                    max(noise_trace(float(p.g_squared), float(p.g1_g2), batch_rows), 1e-12)
                    / max(noise_trace(float(p.h_squared), float(p.h1_h2), batch_rows), 1e-12)
                )
                for p in found
            ]
            for arm, found in products.items()
        }
        readings["gradient_noise_change"] = Reading.of(traces["candidate"], traces["null"])
    return readings


def _paired(outcomes: list[MemberOutcome], statistic: Any) -> Reading:
    values, nulls = [], []
    for outcome in outcomes:
        base = outcome.arms["reference"]
        if not base.trained:
            continue
        if outcome.arms["candidate"].trained:
            values.append(statistic(outcome.arms["candidate"], base))
        if "null" in outcome.arms and outcome.arms["null"].trained:
            nulls.append(statistic(outcome.arms["null"], base))
    return Reading.of(values, nulls)


def _skill_lost(outcomes: list[MemberOutcome], over: int) -> Reading:
    """Returns the share of the reference-trained proxies' skill that the others lack: the label's own quantity.

    (L_candidate - L_reference) / (L_prior - L_reference) by column, averaged over the columns with skill to lose, which
    the mean over all seeds decides, so that no column comes and goes with a seed.
    """
    known = [o for o in outcomes if o.arms["reference"].trained]
    if not known:
        return Reading(None, reason="no member gave a finite value")
    prior = np.mean([o.prior[over] for o in known], axis=0)
    skill = prior - np.mean([o.arms["reference"].by_column[over] for o in known], axis=0)
    counts = skill >= _MIN_SKILL * prior
    if not counts.any():
        return Reading(None, reason="the proxies predict no column better than its marginal does")
    return _paired(
        outcomes, lambda a, b: float(np.mean((a.by_column[over] - b.by_column[over])[counts] / skill[counts]))
    )


def _jackknife(products: list[Any], statistic: Any) -> tuple[float | None, float | None]:
    """Returns the pooled statistic and its jackknife standard error."""
    whole = statistic(products)
    if not np.isfinite(whole):
        return None, None
    if len(products) < 3:
        return whole, None
    parts = np.array([statistic(products[:i] + products[i + 1 :]) for i in range(len(products))])
    parts = parts[np.isfinite(parts)]
    return whole, float(np.sqrt((len(parts) - 1) * parts.var())) if len(parts) > 1 else None


def _range(arm: ArmOutcome) -> float:
    return float(np.log(arm.gradient_norm["max"] / max(arm.gradient_norm["min"], 1e-12)))


def _curvature(a: ArmOutcome, b: ArmOutcome) -> float:
    return float(np.log(max(a.top_eigenvalue or 0.0, 1e-9) / max(b.top_eigenvalue or 0.0, 1e-9)))


def _plateau(arms: dict[str, ArmOutcome]) -> float:
    """Returns dr/dlog2 D: how much the log-ratio grows when both arms get twice the rows; positive is a plateau."""
    if not all(arms[name].trained for name in ("reference", "candidate", "reference_half", "candidate_half")):
        return float("nan")
    full = np.log(arms["candidate"].losses["all"] / arms["reference"].losses["all"])
    half = np.log(arms["candidate_half"].losses["all"] / arms["reference_half"].losses["all"])
    return float(full - half)


def _divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Returns the Jensen-Shannon divergence of two energy spectra in nats."""
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / middle), 0.0) + np.where(q > 0, q * np.log(q / middle), 0.0)
    return float(terms.sum() / 2)
