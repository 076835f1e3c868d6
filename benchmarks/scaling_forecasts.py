"""Forecasts of held-out sizes: what the smaller tiers said of a larger one, how far off it was, and what that teaches.

Widening factors are conformal: the least that covers the wanted share of forecasts with one more to come. A split's own
coverage is judged with the factor of the others. The forecasts of one split are not independent: that none judges
itself is what keeps the figure honest, not their number.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from vr.cascade.power_law import Sample, fit
from vr.cascade.scaling import Widening, extrapolate, load_widening

__all__ = ["LEVEL", "Forecast", "conformal_factor", "forecasts", "gather", "ranking", "summary", "table"]

LEVEL = 0.95
_AS_IT_IS = Widening(1.0, 1.0, {})


@dataclass(frozen=True)
class Forecast:
    """What the smaller tiers said of a larger one, and what came out.

    Attributes:
      split: Where.
      arm: `reference` or the case.
      harm: Measured skill loss of the case; NaN for the reference.
      followed: `final` or `best`.
      fitted: Number of tiers that the law was fitted to; the next one is the truth.
      quantity: `loss` in nats a cell, or `excess`: log ratio to the reference's loss.
      truth: Mean over the held-out tier's seeds.
      truth_error: Its standard error.
      value: The law's.
      lower: Of its interval, not widened.
      upper: Of its interval, not widened.
      falling: A law's that may only fall and has no prior, as it is fitted to language models; loss only.
      single: The largest fitted tier's own.
      single_half: Student's half-width of it.
    """

    split: str
    arm: str
    harm: float
    followed: str
    fitted: int
    quantity: str
    truth: float
    truth_error: float
    value: float
    lower: float
    upper: float
    falling: float
    single: float
    single_half: float

    @property
    def needed(self) -> float:
        """Factor on the interval's half-width at which it just holds the truth."""
        half = self.upper - self.value if self.truth > self.value else self.value - self.lower
        return abs(self.truth - self.value) / max(half, 1e-9)

    def error(self, value: float) -> float:
        """Returns how far `value` lies from the truth: relative for a loss, in log ratio for an excess."""
        return abs(value / self.truth - 1.0) if self.quantity == "loss" else abs(value - self.truth)


def forecasts(document: dict[str, Any], followed: str) -> list[Forecast]:
    """Returns all forecasts of one split's losses."""
    sizes = [float(tier["parameters"]) for tier in document["tiers"]]
    of_reference = document["arms"]["reference"]
    found = []
    for arm, each in document["arms"].items():
        losses, reference = _trained([(x[followed], y[followed]) for x, y in zip(each, of_reference, strict=True)])
        for fitted in range(2, len(sizes)):
            ours, theirs = losses[:fitted], reference[:fitted]
            rng = np.random.default_rng(0)
            law = extrapolate(
                sizes[:fitted], theirs, ours, target=sizes[fitted], level=LEVEL, rng=rng, widening=_AS_IT_IS
            )
            assert law is not None
            falling = fit(Sample.of(np.array(sizes[:fitted]), ours), prior=False, may_rise=False)(sizes[fitted])
            given = (document["split"], arm, document["harm"].get(arm, math.nan), followed, fitted)
            found.append(
                Forecast(
                    *given,
                    "loss",
                    *_mean_and_error(losses[fitted]),
                    *(law["predicted_loss"][key] for key in ("value", "lower", "upper")),
                    float(falling),
                    *_mean_and_half(losses[fitted - 1]),
                )
            )
            if arm != "reference":
                ratios = [np.log(x / y) for x, y in zip(losses, reference, strict=True)]
                found.append(
                    Forecast(
                        *given,
                        "excess",
                        *_mean_and_error(ratios[fitted]),
                        *(law["predicted_excess_loss"][key] for key in ("value", "lower", "upper")),
                        math.nan,
                        *_mean_and_half(ratios[fitted - 1]),
                    )
                )
    return found


def _trained(tiers: list[tuple[list[float | None], list[float | None]]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns both arms' losses by tier, of the seeds of which neither diverged."""
    pairs = [np.array(tier, float) for tier in tiers]
    kept = [pair[:, np.isfinite(pair).all(axis=0)] for pair in pairs]
    return [pair[0] for pair in kept], [pair[1] for pair in kept]


def _mean_and_error(x: np.ndarray) -> tuple[float, float]:
    return float(x.mean()), float(x.std(ddof=1) / math.sqrt(len(x))) if len(x) > 1 else math.nan


def _mean_and_half(x: np.ndarray) -> tuple[float, float]:
    mean, error = _mean_and_error(x)
    return mean, error * float(student_t.ppf(0.5 + LEVEL / 2, len(x) - 1)) if len(x) > 1 else math.nan


def conformal_factor(needed: Iterable[float], level: float = LEVEL) -> float | None:
    """Returns the least factor at which intervals cover `level` of exchangeable forecasts, one more to come.

    None where there are too few to say: the rank ceil((n + 1) level) has to exist. Never below 1.
    """
    ordered = sorted(needed)
    rank = math.ceil((len(ordered) + 1) * level)
    return None if rank > len(ordered) else max(1.0, ordered[rank - 1])


def summary(found: Sequence[Forecast]) -> dict[str, Any]:
    """Returns errors and coverage of forecasts of one kind, the single tier beside the law."""
    own = {name: [f for f in found if f.split == name] for name in dict.fromkeys(f.split for f in found)}
    factors = {name: conformal_factor(f.needed for f in found if f.split != name) for name in own}
    judged = [(f, factor) for f in found if (factor := factors[f.split]) is not None]
    row: dict[str, Any] = {
        "forecasts": len(found),
        "datasets": len(own),
        "error": {"law": _spread(f.error(f.value) for f in found)},
        "bias_of_law": round(float(np.median([f.value / f.truth - 1.0 for f in found])), 4),
        "coverage": {
            "unwidened": _share(f.needed <= 1.0 for f in found),
            "widened_by_other_datasets": _share(f.needed <= factor for f, factor in judged),
            "widened_as_shipped": _share(f.needed <= getattr(load_widening(), f.quantity) for f in found),
            "single_tier": _share(abs(f.truth - f.single) <= f.single_half for f in found),
        },
        "factor": _rounded(conformal_factor(f.needed for f in found)),
        "half_width": _rounded(float(np.median([(f.upper - f.lower) / 2 / _scale(f) for f in found]))),
        "standard_error_of_truth": _rounded(float(np.nanmedian([f.truth_error / _scale(f) for f in found]))),
    }
    if found[0].quantity == "excess":
        del row["bias_of_law"]
        row["ranking"] = {"law": ranking(found, "value"), "single_tier": ranking(found, "single")}
    else:
        row["error"]["falling_law"] = _spread(f.error(f.falling) for f in found)
    row["error"]["single_tier"] = _spread(f.error(f.single) for f in found)
    return row


def ranking(found: Sequence[Forecast], by: str) -> dict[str, Any]:
    """Returns how often a forecast of the excess has the truth's order, and of how many.

    `against_reference` asks on which side of the reference a candidate will lie, `clear_ones` only where the truth lies
    two standard errors from it; `between_candidates` which of two candidates of a split will be worse.
    """
    sides = [(getattr(f, by) > 0) == (f.truth > 0) for f in found]
    clear = [side for f, side in zip(found, sides, strict=True) if abs(f.truth) > 2 * f.truth_error]
    pairs = [(f, g) for i, f in enumerate(found) for g in found[i + 1 :] if f.split == g.split]
    ordered = [(getattr(f, by) > getattr(g, by)) == (f.truth > g.truth) for f, g in pairs]
    return {
        "against_reference": [_share(sides), len(sides)],
        "clear_ones": [_share(clear), len(clear)],
        "between_candidates": [_share(ordered), len(ordered)],
    }


def _scale(forecast: Forecast) -> float:
    return forecast.truth if forecast.quantity == "loss" else 1.0


def _spread(values: Iterable[float]) -> dict[str, float]:
    x = np.array(list(values))
    return {"median": round(float(np.median(x)), 4), "p90": round(float(np.quantile(x, 0.9)), 4)}


def _share(hits: Iterable[bool]) -> float | None:
    x = list(hits)
    return round(float(np.mean(x)), 3) if x else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)


def gather(documents: Sequence[dict[str, Any]], seen: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the result: a summary for each loss that is followed, number of fitted tiers and quantity.

    Args:
      documents: What was trained, one for each split.
      seen: Splits by which the law's form was chosen; the others are summed up by themselves, too.
    """
    every = [forecast for followed in ("final", "best") for each in documents for forecast in forecasts(each, followed)]
    summaries = []
    for among, found in (("all", every), ("new", [f for f in every if f.split not in seen])):
        for kind in dict.fromkeys((f.followed, f.fitted, f.quantity) for f in found):
            names = dict(zip(("followed", "fitted", "quantity"), kind, strict=True))
            of_kind = [f for f in found if (f.followed, f.fitted, f.quantity) == kind]
            summaries.append({"among": among, **names, **summary(of_kind)})
    return {
        "level": LEVEL,
        "splits": [document["split"] for document in documents],
        "seen": [document["split"] for document in documents if document["split"] in seen],
        "summaries": sorted(summaries, key=_order),
        "forecasts": [
            {key: _rounded(value) if isinstance(value, float) else value for key, value in asdict(f).items()}
            | {"needed": _rounded(f.needed)}
            for f in every
        ],
        "trained": list(documents),
    }


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["followed"] != "final", -row["fitted"], row["quantity"] != "loss", row["among"]


def table(result: dict[str, Any]) -> str:
    """Returns the summaries as lines: median errors, coverage, and the order of the excess, law and single tier."""
    lines = []
    for row in result["summaries"]:
        fitted, errors, coverage = row["fitted"], row["error"], row["coverage"]
        lines += [
            f"{row['followed']} {row['quantity']}, tier {fitted + 1} foretold by tiers 1 to {fitted}: "
            f"{row['forecasts']} forecasts, {row['among']} {row['datasets']} datasets",
            "  median error: " + ", ".join(f"{name} {each['median']:.2%}" for name, each in errors.items()),
            "  covered: " + ", ".join(f"{name} {_percent(share)}" for name, share in coverage.items()),
            f"  factor {row['factor']}, half-width before it {row['half_width']:.2%}, "
            f"standard error of the truth {row['standard_error_of_truth']:.2%}",
        ]
        for name, order in row.get("ranking", {}).items():
            lines.append(
                f"  order by {name}: " + ", ".join(f"{key} {_percent(hit)} of {n}" for key, (hit, n) in order.items())
            )
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.0%}"
