"""Generalization gap: does a model trained on the candidate do worse on real rows than one trained on real rows?"""

from dataclasses import dataclass

import numpy as np

from vr.core.chart import Chart
from vr.detector.dimensions.base import Dimension, Measurement, needs_reference
from vr.detector.inputs import Inputs, Side, Statistics
from vr.detector.metric import Feature, MetricSpec
from vr.detector.proxies import loss_curves, proxy_feature
from vr.stats.skill import SkillLost, SkillTest, prepare_skill_test

__all__ = ["DIMENSION", "Settings", "judged_targets", "skill_lost", "skill_test"]


@dataclass(frozen=True)
class Settings:
    """Which evidence is drawn."""

    scaling_points: int = 24  # sizes at which the fitted law is drawn


_METRICS = {
    "skill_lost_trees": MetricSpec(
        "Skill lost, trees",
        "Share of the skill at predicting each column from the others, on real rows, that forests of randomised trees "
        "lose by learning from the candidate: 0 none, or none to lose, 1 all; null: two parts of the reference. "
        "Columns at which forests of these differ count for less.",
        floor=0.05,
        judged=True,
    ),
    "skill_lost_targets": MetricSpec(
        "Skill lost at the targets",
        "The same of the columns that the model is to predict (targets) alone, which count alike, in the place of that "
        "of all columns.",
        floor=0.05,
        judged=True,
    ),
    "skill_lost_worst_target": MetricSpec(
        "Skill lost at the worst target",
        "Of the target that loses most of its own skill, that share.",
        floor=0.05,
    ),
    "log_ratio": MetricSpec(
        "Loss ratio, all cells",
        "Mean over seeds, and over tiers with a null, of log(L_candidate / L_reference) on held-out real rows, "
        "each cell left out; null: two parts of the reference against each other.",
        floor=0.008,
        unit="log ratio",
        judged=True,
        proxies=True,
    ),
    "log_ratio_half": MetricSpec(
        "Loss ratio, half the cells hidden",
        "The same when half of a row's cells are hidden at once.",
        floor=0.008,
        unit="log ratio",
        proxies=True,
    ),
    "log_ratio_rare": MetricSpec(
        "Loss ratio, rare rows",
        "The same on the tenth of real rows that are least likely under the reference's marginals.",
        floor=0.015,
        unit="log ratio",
        judged=True,
        proxies=True,
    ),
    "skill_lost": MetricSpec(
        "Skill lost, proxies",
        "Mean over predictable columns of (L_candidate - L_reference) / (L_marginal - L_reference) on held-out real "
        "rows, of the largest tier with a null: 0 none of the reference's skill is lost, 1 all of it.",
        floor=0.1,
        proxies=True,
    ),
    "skill_lost_rare": MetricSpec("Skill lost, proxies, rare rows", "The same on rare rows.", floor=0.2, proxies=True),
    "copied_fraction": MetricSpec(
        "Rows copied from the reference",
        "Share of candidate rows that equal a reference row in every code and number; null: between two parts of it.",
        floor=0.02,
    ),
}


def measure(inputs: Inputs, settings: Settings = Settings()) -> Measurement:
    """Returns the skill that trees lose, the paired loss ratios of proxies, and how much is memorised."""
    if reason := needs_reference(inputs):
        return Measurement.missing(reason)
    trees, charts = _trees(inputs)
    features = {
        **trees,
        "log_ratio": proxy_feature(inputs, "log_ratio_all"),
        "log_ratio_half": proxy_feature(inputs, "log_ratio_half"),
        "log_ratio_rare": proxy_feature(inputs, "log_ratio_rare"),
        "skill_lost": proxy_feature(inputs, "skill_lost"),
        "skill_lost_rare": proxy_feature(inputs, "skill_lost_rare"),
        **inputs.compare("memorisation", _copied),
    }
    if inputs.cascade is not None:
        charts += (*loss_curves(inputs), *_scaling(inputs, settings))
    return Measurement(features, charts)


def skill_test(inputs: Inputs) -> SkillTest | None:
    """Returns the forests of the reference, fitted once for all candidates of as many rows; None of too few rows.

    They predict the targets, where there are any with skill to lose, else the columns that are predicted best.
    """
    test = _prepared(inputs, inputs.targets)
    if test is None or not test.of_targets or test.can_lose.any():
        return test
    return _prepared(inputs, ())


def skill_lost(inputs: Inputs) -> SkillLost | None:
    """Returns what forests lose by learning from the candidate, measured once; None of too few rows."""
    test = skill_test(inputs)
    if test is None:
        return None
    codes = inputs.candidate.codes[:, inputs.pair_columns]
    return inputs.once(("skill", inputs.targets), lambda: test.lost(codes, inputs.threads))


def judged_targets(inputs: Inputs) -> tuple[int, ...]:
    """Returns the targets, as positions, that have skill to lose and that `skill_test` judges by; none if by others."""
    test = skill_test(inputs) if inputs.targets and inputs.splits else None
    if test is None or not test.of_targets:
        return ()
    counted = inputs.pair_columns[test.columns[test.can_lose]]
    return tuple(j for j in inputs.targets if j in counted)


def _prepared(inputs: Inputs, targets: tuple[int, ...]) -> SkillTest | None:
    columns, pairs, num_rows = inputs.columns, inputs.pair_columns, len(inputs.candidate)
    whole = {j: part for part in columns.parts.values() for j in part}
    # Of a date that is to be predicted no forest may see the month.
    hidden = {
        int(np.searchsorted(pairs, j)): np.flatnonzero(np.isin(pairs, whole[j])).tolist() for j in sorted(targets)
    }

    def prepare(reference: Side) -> SkillTest | None:
        return prepare_skill_test(
            reference.codes[:, pairs],
            columns.ordinal[pairs],
            columns.num_codes[pairs],
            num_rows,
            inputs.seed,
            threads=inputs.threads,
            targets=hidden,
        )

    return inputs.of_reference("skill", prepare, num_rows, *sorted(targets))


def _trees(inputs: Inputs) -> tuple[dict[str, Feature], tuple[Chart, ...]]:
    """Returns the share of skill that forests lose, of the targets or of all columns, and what of it on each column."""
    columns, pairs = inputs.columns, inputs.pair_columns
    test, lost = skill_test(inputs), skill_lost(inputs)
    if test is None or lost is None:
        name = "skill_lost_targets" if inputs.targets else "skill_lost_trees"
        return {name: Feature.missing("too few rows on a side, or fewer than two columns that vary")}, ()
    inputs.observed["skill"] = [{"lost": share} for share in lost.shares]
    chart = Chart(
        id="skill-lost",
        kind="bars",
        title="Predictability lost by column",
        data={
            "labels": [columns.names[pairs[j]] for j in test.columns],
            "values": lost.by_column.round(5).tolist(),
            "null_mean": [0.0] * len(test.columns),
            "null_std": test.null_by_column.round(5).tolist(),
            "unit": "R2",
        },
        caption="R2 on real rows of trees that learn from reference rows, less that of trees that learn from as many "
        "candidate rows; the band is what two parts of the reference differ by.",
    )
    found = Feature(lost.share, lost.spread, 0.0, test.null_std)
    if test.of_targets:
        share, null = (
            np.where(test.can_lose, x / np.maximum(test.skill, 1e-9), -np.inf)
            for x in (lost.by_column, test.null_by_column)
        )
        worst = int(np.argmax(share))
        worst_target = Feature(float(share[worst]), None, 0.0, float(null[worst]))
        return {"skill_lost_targets": found, "skill_lost_worst_target": worst_target}, (chart,)
    features = {"skill_lost_trees": found}
    if inputs.targets:
        names = ", ".join(columns.names[j] for j in inputs.targets)
        features["skill_lost_targets"] = Feature.missing(f"real rows do not teach to predict {names}: no skill to lose")
    return features, (chart,)


def _copied(base: Side) -> Statistics:
    known = set(base.row_keys())
    return lambda x, rng: {"copied_fraction": sum(map(known.__contains__, x.row_keys())) / len(x)}


def _scaling(inputs: Inputs, settings: Settings) -> tuple[Chart, ...]:
    assert inputs.cascade is not None
    found = inputs.cascade.scaling
    if found is None:
        return ()
    sizes = np.array([point["parameters"] for point in found["points"]])
    grid = np.geomspace(sizes.min(), found["target_parameters"], settings.scaling_points)
    laws = {"candidate": found, "reference": found["reference_law"]}
    series = [
        {
            "name": f"{arm}, fitted",
            "arm": arm,
            "x": grid.round(0).tolist(),
            "y": (law["a"] * grid ** -law["b"] + law["c"]).round(5).tolist(),
        }
        for arm, law in laws.items()
    ]
    series += [
        {
            "name": f"{arm}, trained",
            "arm": arm,
            "x": sizes.tolist(),
            "y": [round(float(np.mean(point[arm])), 5) for point in found["points"]],
        }
        for arm in laws
    ]
    caption = (
        "L(N) = A N^-B + C fitted to every seed, A of either sign; the largest tier's own ranking is the safer guide."
    )
    if not found["asymptote_identified"]:
        caption += " The asymptote is not identified: the data allow C = 0, or no asymptote at all."
    return (
        Chart(
            id="scaling",
            kind="lines",
            title="Loss by model size, extrapolated",
            data={
                "x_label": "parameters",
                "y_label": "loss on real rows, nats a cell",
                "x_scale": "log",
                "y_scale": "linear",
                "series": series,
            },
            caption=caption,
        ),
    )


DIMENSION = Dimension(
    "generalization_gap",
    "Does a model trained on the candidate do worse on real rows than one trained on real rows?",
    _METRICS,
    measure,
)
