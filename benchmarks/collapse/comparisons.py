"""Do public tools judge as well as the verdict, what does each of its parts add, and what would a ladder in situ?

    python -m benchmarks.collapse.comparisons [peers peers_for_targets ablation whole_cascade in_situ]

Minutes. Every peer gets what the verdict's head gets: a monotone reshaping, a probability and thresholds fitted by
leave-dataset-and-source-out, on the same cases; a head on all of them is their stack. The ablation fits the verdict's
head without one of its parts, or with one more; `whole_cascade` with what only a third of the cases has. `in_situ` fits
it with cases of the judged case's own dataset beside the others, made by other sources: the most that degrading
a user's own reference could give: these have measured labels, which a user's would not. Writes
benchmarks/results/collapse/<part>.json.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit

from benchmarks.collapse.evidence import RESULTS, RULED_OUT_NOISE, SPECS, load_cases
from benchmarks.collapse.fitting import soft_target
from benchmarks.collapse.judging import Answers, answer, card, differences
from benchmarks.collapse.ladders import PROBED
from benchmarks.collapse.peers import PEERS
from benchmarks.collapse.protocol import Cases, figures
from experiments.calibrate import HEADS, teaching
from vr.detector.calibration import SKILL_LOST_TARGETS
from vr.detector.config import DIMENSIONS
from vr.detector.head import fit_head

_TIERS = ("tier_1", "tier_2")
_OWN_WEIGHTS = (1.0, 3.0, 10.0, 30.0)
_LOG_RATIO, _READING = "generalization_gap.log_ratio", "log_ratio_all"


def main() -> None:
    """Runs what is asked for and writes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    for part in args.parts:
        if part.startswith("peers") and not (RESULTS / "peers.parquet").exists():
            print("peers are not measured yet: python -m benchmarks.collapse.study peers")
            continue
        found = PARTS[part](args.workers)
        (RESULTS / f"{part}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def peers(workers: int) -> dict[str, Any]:
    """Returns the error card of every peer, of their stack and of ours on the same cases, and our lead over each."""
    return _peers(workers, ["features", "peers"], "trained")


def peers_for_targets(workers: int) -> dict[str, Any]:
    """Returns the same where the verdict is told the columns to be predicted; the tools have no way to be told."""
    groups = {"vr_not_told": HEADS["trained"], "skill_lost_targets_alone": (f"{SKILL_LOST_TARGETS}:shift",)}
    return _peers(workers, ["features", "targets", "peers"], "trained_for_targets", groups)


def _peers(
    workers: int, stages: Sequence[str], situation: str, more: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    everything, table = load_cases(stages, PEERS, noise=RULED_OUT_NOISE)
    groups = {name: (name,) for name in PEERS}
    groups |= {"stack": PEERS, "stack_and_log_ratio": (*PEERS, f"{_LOG_RATIO}:raw")}
    return _compared(everything, groups | dict(more or {}), workers, teaching(table), situation)


def ablation(workers: int) -> dict[str, Any]:
    """Returns what the trained head is without each of its parts, and with each dimension that it does not read."""
    cases, _ = load_cases(columns=_readings(_TIERS))
    names = HEADS["trained"]
    groups: dict[str, Sequence[str]] = {"without_null_centring": tuple(dict.fromkeys(_raw(name) for name in names))}
    for dimension in DIMENSIONS:
        rest = tuple(name for name in names if not name.startswith(f"{dimension}."))
        if len(rest) < len(names):
            groups[f"without_{dimension}"] = rest
        elif more := _measured_of(cases, dimension):
            groups[f"with_{dimension}"] = (*names, *more)
    for name in names:
        groups[f"without_{name}"] = tuple(other for other in names if other != name)
        groups[f"only_{name}"] = (name,)
    # The proxies' own skill lost, which the trees' has displaced.
    groups["with_generalization_gap.skill_lost"] = (*names, "generalization_gap.skill_lost")
    for tier in _TIERS:
        reading, alone = f"{tier}.{_READING}", f"{tier}.{_LOG_RATIO}"
        shift = cases.features[reading] - cases.features[f"{reading}:null_mean"]
        spread = np.hypot(cases.features[f"{reading}:null_std"], SPECS[_LOG_RATIO].floor)
        cases.features[alone] = shift / spread  # type: ignore[index]
        groups[f"{tier}_alone"] = tuple(alone if name == _LOG_RATIO else name for name in names)
    groups["untrained"] = HEADS["untrained"]
    return _compared(cases, groups, workers)


def whole_cascade(workers: int) -> dict[str, Any]:
    """Returns what the tier without a null and the probes add, on the cases that went through the whole cascade."""
    tiers = (*_TIERS, "tier_3")
    cases, _ = load_cases(["cascade"], _readings(tiers))
    names = HEADS["trained"]
    groups: dict[str, Sequence[str]] = {f"with_{name}": (*names, *_measured_of(cases, name)) for name in PROBED}
    for tier in tiers:
        # The third tier has no null of its own: by its value alone, and the others beside it likewise.
        groups[f"{tier}_by_value"] = tuple(_add_raw(cases, tier) if name == _LOG_RATIO else name for name in names)
    groups["with_tier_3"] = (*names, _add_raw(cases, "tier_3"))
    return _compared(cases, groups, workers)


def in_situ(workers: int) -> dict[str, Any]:
    """Returns what the trained head gains from labelled cases of the judged dataset, by the weight of each of them."""
    cases, _ = load_cases()
    own = [np.sum((cases.datasets == name) & (cases.sources != source)) for name, source in _dataset_and_source(cases)]
    alone = _with_own(cases, 0.0)
    found: dict[str, Any] = {"rungs": round(float(np.mean(own)), 1), "by_weight": {}}
    for weight in (0.0, *_OWN_WEIGHTS):
        answers = _with_own(cases, weight)
        clear = figures(answers.probability[cases.clear], cases.harm[cases.clear])
        found["by_weight"][f"{weight:g}"] = {
            **{key: round(clear[key], 4) for key in ("auroc", "accuracy", "fpr", "fnr")},
            "spearman": round(figures(answers.probability, cases.harm)["spearman"], 4),
            "gain": differences(cases, answers, alone) if weight else {},
        }
        print(f"in_situ, weight {weight:g}: {found['by_weight'][f'{weight:g}']}", flush=True)
    return found


def _dataset_and_source(cases: Cases) -> list[tuple[str, str]]:
    return sorted(set(zip(cases.datasets.tolist(), cases.sources.tolist(), strict=True)))


def _with_own(cases: Cases, weight: float) -> Answers:
    """Returns answers of heads fitted to other sources: on other datasets, and on the case's own at a weight."""
    target, logit = soft_target(cases.harm), np.empty(len(cases))
    for dataset, source in _dataset_and_source(cases):
        own, others = cases.datasets == dataset, cases.sources != source
        rows, train = own & ~others, others if weight else others & ~own
        weights = np.where(own, weight, 1.0)[train]
        head = fit_head(cases.take(train).features, HEADS["trained"], target[train], weights)
        logit[rows] = head.logit(cases.take(rows).features)
    probability = expit(logit)
    nothing = np.zeros(len(cases), bool)
    return Answers(probability, probability >= 0.5, nothing, nothing)


def _readings(tiers: Sequence[str]) -> list[str]:
    return [f"{tier}.{_READING}{part}" for tier in tiers for part in ("", ":null_mean", ":null_std")]


def _add_raw(cases: Cases, tier: str) -> str:
    """Adds a tier's loss ratio by its value to the features, and returns its name."""
    name = f"{tier}.{_LOG_RATIO}:raw"
    cases.features[name] = cases.features[f"{tier}.{_READING}"]  # type: ignore[index]
    return name


def _compared(
    everything: Cases,
    groups: Mapping[str, Sequence[str]],
    workers: int,
    teach: np.ndarray | None = None,
    situation: str = "trained",
) -> dict[str, Any]:
    """Returns a card for each group, and our lead; of the cases that `teach`, and beside it of all."""
    settled = np.ones(len(everything), bool) if teach is None else teach
    cases, of_all = everything.take(settled), answer(everything, HEADS[situation], workers, settled)
    ours = of_all.take(settled)

    def carded(answers: Answers) -> dict[str, Any]:
        any_label = {} if settled.all() else {"any_label": card(everything, answers)}
        return {**card(cases, answers.take(settled)), **any_label}

    found: dict[str, Any] = {"vr": {"features": list(HEADS[situation]), **carded(of_all)}}
    _print("vr", found["vr"])
    for name, features in groups.items():
        theirs_of_all = answer(everything, features, workers, settled)
        found[name] = {
            "features": list(features),
            **carded(theirs_of_all),
            "lead": differences(cases, ours, theirs_of_all.take(settled)),
        }
        if not settled.all():
            found[name]["any_label"]["lead"] = differences(everything, of_all, theirs_of_all)
        if len(features) == 1:
            # Its own number, nothing fitted: what ranks the other way round gets no weight in a monotone head.
            score = np.nan_to_num(cases.features[features[0]])
            own = figures(score[cases.clear], cases.harm[cases.clear]), figures(score, cases.harm)
            found[name]["own"] = {"auroc": round(own[0]["auroc"], 4), "spearman": round(own[1]["spearman"], 4)}
        _print(name, found[name])
    return found


def _raw(name: str) -> str:
    return f"{name.split(':')[0]}:raw"


def _measured_of(cases: Cases, dimension: str) -> list[str]:
    """Returns the dimension's metrics that were measured on most cases."""
    return [
        name
        for name, values in cases.features.items()
        if name.startswith(f"{dimension}.") and ":" not in name and np.isfinite(values).mean() > 0.5
    ]


def _print(name: str, found: Mapping[str, Any]) -> None:
    clear, lead = found["clear"], found.get("lead", {})
    text = "  ".join(f"{key} {clear[key][0]:.3f}" for key in ("auroc", "accuracy", "fpr", "fnr", "ece"))
    text += f"  spearman {found['all']['spearman'][0]:.3f}"
    for key, (value, low, high) in lead.items():
        text += f"  lead in {key} {value:+.3f} ({low:+.3f} to {high:+.3f})"
    print(f"{name:55} {text}", flush=True)


PARTS = {
    "peers": peers,
    "peers_for_targets": peers_for_targets,
    "ablation": ablation,
    "whole_cascade": whole_cascade,
    "in_situ": in_situ,
}

if __name__ == "__main__":
    main()
