"""Does the frequency gate earn its place? The resonance network beside its control, in likelihood and in verdicts.

    python -m benchmarks.cascade_networks [SPLIT ...] [--workers 1]

Eight splits of the collapse study. On each, the laptop's first two tiers, whose readings the verdict rests on, with
five and three seeds, no probes: the control as it ships; the resonance network with as many parameters and steps; and
with as many parameters and as many operations, which leaves it an eighth to a third of the steps. Operations are those
that XLA counts in the compiled gradient of a batch.

Likelihood: the loss of held-out real cells under members trained on real rows, the log of one network's over the
other's, seed by seed, both trained on the same rows; Student's interval over seeds for a dataset, over datasets for
all. `final` is the loss that `vr` reports; `best` the lowest of the held-out curve, which somebody who stops early
gets: on few rows the final one rises with the steps.

Verdict: on the fresh sample, a harmless change, the lineage of least harm, the collapsed lineage of least harm and that
of most, how well the readings that the verdict knows tell the collapsed from the rest, and what they add to the study's
verdict without proxies on datasets that a logistic head has not seen; intervals by drawing datasets again.

About three processor minutes a split. What a split gave is kept in outputs/cascade_networks/ and not trained again;
whatever is there is gathered into results/cascade_networks.json.
"""

import argparse
import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy import stats
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.collapse.cases import _SLOW, Split, cases_of, parts_of, splits
from benchmarks.collapse.evidence import _REAL_ROWS, RESULTS
from benchmarks.collapse.protocol import cluster_intervals, student_interval
from benchmarks.collapse.stages import _ONE_THREAD, cached_cases, cached_reference
from benchmarks.measure import save
from vr.cascade.config import CURVE_POINTS, CascadeConfig, Execution, Network, TierConfig
from vr.pipeline.report import write_atomically

SPLITS = (
    "gpa2-0",
    "SLID-0",
    "injury-0",
    "crime1-0",
    "NOxEmissions-0",
    "stackoverflow-0",
    "spam7-0",
    "Phishing-0",
)
WORK = Path("outputs/cascade_networks")
SEEDS = (5, 3)
FORMS = ("mlp", "resonance", "resonance_equal_flops")
READINGS = ("log_ratio_all", "log_ratio_rare", "skill_lost")
_VERSION = 1  # of what a split's file holds
_LEAST_SPLITS = 3


def tiers() -> list[TierConfig]:
    """Returns the laptop's first two tiers, the arms that readings and their nulls need."""
    bare = {"gradients": False, "curvature": False, "half_arms": False, "null_arm": True}
    return [replace(tier, seeds=seeds, **bare) for tier, seeds in zip(CascadeConfig().tiers, SEEDS, strict=False)]


def chosen_cases(split: Split, labels: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the split's cases; lineages of generators that take seconds a generation are passed over."""
    own = [row for row in labels if row["split"] == split.name and not row["seen"] and not row["unchanged"]]
    real = next(row for row in own if row["kind"] == "real")
    harmless = next(row for row in own if row["kind"] == "harmless" and row["source"] not in _REAL_ROWS)
    lineages = [row for row in own if row["kind"] == "lineage" and row["source"] not in _SLOW]
    by_harm = sorted((row for row in lineages if row["label"] != "unknown"), key=lambda row: row["harm"])
    collapsed = [row for row in by_harm if row["label"] == "collapsed"]
    chosen = (real, harmless, by_harm[0], collapsed[0], collapsed[-1])
    return list(dict.fromkeys(row["case"] for row in chosen))


def configuration(form: str, num_codes: np.ndarray) -> tuple[CascadeConfig, list[float]]:
    """Returns a form's cascade on such a table, and the operations of each tier's training."""
    networks = {name: _with(Network[name], tiers()) for name in ("mlp", "resonance")}
    flops = {name: _batch_flops(config, num_codes) for name, config in networks.items()}
    config = networks[form.removesuffix("_equal_flops")]
    of_batch = flops[config.network.name]
    if form.endswith("_equal_flops"):
        steps = [
            max(CURVE_POINTS, CURVE_POINTS * round(tier.steps * wanted / given / CURVE_POINTS))
            for tier, wanted, given in zip(config.tiers, flops["mlp"], of_batch, strict=True)
        ]
        config = _with(config.network, [replace(tier, steps=n) for tier, n in zip(config.tiers, steps, strict=True)])
    return config, [tier.steps * each for tier, each in zip(config.tiers, of_batch, strict=True)]


def _with(network: Network, tiers: list[TierConfig]) -> CascadeConfig:
    return CascadeConfig(network=network, tiers=tiers, threads=1, execution=Execution.looped)


def _batch_flops(config: CascadeConfig, num_codes: np.ndarray) -> list[float]:
    """Returns the operations of one step's gradient at each tier, as XLA counts them in the compiled program."""
    import jax
    import jax.numpy as jnp

    from vr.cascade.step import masked_loss
    from vr.cascade.train import _models

    found, d = [], len(num_codes)
    for tier in config.tiers:
        model = _models(config, num_codes)[tier.name]
        shapes = (
            jax.ShapeDtypeStruct((model.parameters,), jnp.float32),
            jax.ShapeDtypeStruct((d, tier.batch_rows), jnp.int32),
            jax.ShapeDtypeStruct((d, tier.batch_rows), jnp.bool_),
        )
        gradient = jax.jit(jax.grad(lambda *x, model=model: masked_loss(model.apply, *x)))
        found.append(float(gradient.lower(*shapes).compile().cost_analysis()["flops"]))
    return found


def train_split(split: Split) -> dict[str, Any]:
    """Returns each form's losses on real rows by tier and seed, and its readings of every case."""
    from vr.cascade.train import run_cascade
    from vr.data.source import open_source
    from vr.pipeline.config import Config
    from vr.pipeline.intake import take_in

    labels = pq.read_table(RESULTS / "labels.parquet").to_pylist()
    wanted = chosen_cases(split, labels)
    parts = parts_of(split)
    reference = cached_reference(split, parts)
    cases = cached_cases(split, parts, [case for case in cases_of(split) if case.id in wanted])
    document: dict[str, Any] = {"split": split.name, "dataset": split.dataset, "reference_rows": split.reference_rows}
    forms: dict[str, Any] = {}
    for form in FORMS:
        prepared: dict = {}
        found: dict[str, Any] = {"readings": {}}
        begun = time.process_time()
        for case, table in cases:
            taken = take_in(open_source(table), open_source(reference), Config(), 1, lambda *step: None)
            assert taken.reference is not None
            codes = taken.columns.num_codes
            if not prepared:
                config, found["flops"] = configuration(form, codes)
            result = run_cascade(
                taken.reference.codes, taken.candidate.codes, codes.tolist(), config, 0, prepared=prepared
            )
            found["readings"][case.id] = {
                name: {"value": r.value, "null_mean": r.null_mean, "null_std": r.null_std}
                for name, r in result.readings.items()
                if name in READINGS
            }
        found["cpu_s"] = round(time.process_time() - begun, 1)
        found["tiers"] = [
            {"parameters": tier.parameters, "steps": tier.steps, "prior_loss": tier.prior_loss}
            | _real_losses([model for model in result.models if model.tier == tier.name])
            for tier in result.tiers
        ]
        forms[form] = found
        print(
            split.name,
            form,
            found["cpu_s"],
            [round(float(np.mean(list(t["final"].values()))), 4) for t in found["tiers"]],
            flush=True,
        )
    known = {row["case"]: row for row in labels}
    untrained = {
        row["case"]: row["untrained_probability"] for row in pq.read_table(RESULTS / "answers.parquet").to_pylist()
    }
    document["columns"] = len(codes)
    document["cases"] = {
        case.id: {name: known[case.id][name] for name in ("kind", "label", "harm")}
        | {"untrained_probability": untrained.get(case.id)}
        for case, _ in cases
    }
    return document | {"forms": forms}


def _real_losses(models: list[Any]) -> dict[str, dict[str, float]]:
    """Returns losses by seed, means over its arms of real rows that trained: the final one, and the curve's lowest."""
    final: dict[int, list[float]] = {}
    best: dict[int, list[float]] = {}
    for model in models:
        if model.arm in ("reference", "null") and model.status == "trained":
            final.setdefault(model.seed, []).append(model.loss)
            best.setdefault(model.seed, []).append(min(model.loss_curve["loss"]))
    return {
        name: {str(seed): float(np.mean(losses[seed])) for seed in sorted(losses)}
        for name, losses in (("final", final), ("best", best))
    }


def gather(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the comparison over all splits that are there."""
    return {
        "splits": [document["split"] for document in documents],
        "columns": [document["columns"] for document in documents],
        "cost": _cost(documents),
        "likelihood": [
            _likelihood(documents, form, tier, followed)
            for form in FORMS[1:]
            for tier in range(len(SEEDS))
            for followed in ("final", "best")
        ],
        "verdict": _verdict(documents),
        "documents": documents,
    }


def _cost(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns each form's operations and processor time, compiling included, over the control's, by split."""

    def over(form: str, quantity: Callable[[dict[str, Any]], float]) -> list[float]:
        return [round(quantity(x["forms"][form]) / quantity(x["forms"]["mlp"]), 2) for x in documents]

    return {
        form: {
            "flops_over_control": [over(form, lambda found, i=i: found["flops"][i]) for i in range(len(SEEDS))],
            "parameters_over_control": [
                over(form, lambda found, i=i: found["tiers"][i]["parameters"]) for i in range(len(SEEDS))
            ],
            "cpu_over_control": over(form, lambda found: found["cpu_s"]),
        }
        for form in FORMS[1:]
    }


def _likelihood(documents: list[dict[str, Any]], form: str, tier: int, followed: str) -> dict[str, Any]:
    """Returns log(loss / control's loss) on real rows: below 0, the form predicts better."""
    rows = []
    for document in documents:
        ours, control = (document["forms"][name]["tiers"][tier][followed] for name in (form, "mlp"))
        ratios = np.log([ours[seed] / control[seed] for seed in ours if seed in control])
        rows.append({"split": document["split"]} | student_interval(ratios))
    return {
        "form": form,
        "tier": tier + 1,
        "followed": followed,
        "all": student_interval(np.array([row["mean"] for row in rows])),
        "better": sum(row["upper"] < 0 for row in rows),
        "worse": sum(row["lower"] > 0 for row in rows),
        "by_split": rows,
    }


def _verdict(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns how well each form's readings tell collapsed cases, and what they add to the verdict without proxies."""
    rows = [(d, case, about) for d in documents for case, about in d["cases"].items()]
    group = np.array([d["split"] for d, _, _ in rows])
    collapsed = np.array([about["label"] == "collapsed" for _, _, about in rows])
    harm = np.array([about["harm"] for _, _, about in rows])
    known = [about["untrained_probability"] for _, _, about in rows]
    # NaN where the study leaves a case out.
    logits = logit(np.clip(np.array(known, float), 1e-3, 1 - 1e-3))
    z = {
        form: {
            name: np.array([_z(d["forms"][form]["readings"][case][name]) for d, case, _ in rows]) for name in READINGS
        }
        for form in FORMS
    }

    def auroc(form: str, name: str) -> Callable[[np.ndarray], float]:
        return lambda take: float(roc_auc_score(collapsed[take], z[form][name][take]))

    def spearman(form: str, name: str) -> Callable[[np.ndarray], float]:
        return lambda take: float(stats.spearmanr(harm[take], z[form][name][take])[0])

    def beside_control(measure: Callable[[str, str], Callable[[np.ndarray], float]], name: str) -> dict[str, Any]:
        control, everything = measure("mlp", name), np.arange(len(rows))
        found: dict[str, Any] = {form: round(measure(form, name)(everything), 4) for form in FORMS}
        for form in FORMS[1:]:
            of_form = measure(form, name)
            found[f"{form}_minus_mlp"] = _resampled(group, lambda take, f=of_form: f(take) - control(take))
        return found

    found: dict[str, Any] = {"cases": len(rows), "collapsed": int(collapsed.sum())}
    for title, measure in (("auroc", auroc), ("spearman_with_harm", spearman)):
        found[title] = {name: beside_control(measure, name) for name in READINGS}
    usable = np.isfinite(logits)
    losses = {"statistics_alone": _left_out_losses(logits[usable, None], collapsed[usable], group[usable])}
    for form in FORMS:
        both = np.column_stack([logits, *(z[form][name] for name in READINGS)])[usable]
        losses[form] = _left_out_losses(both, collapsed[usable], group[usable])
    found["log_loss_on_left_out_datasets"] = {name: round(float(each.mean()), 4) for name, each in losses.items()} | {
        f"{form}_minus_mlp": _resampled(
            group[usable], lambda take, f=form: float((losses[f] - losses["mlp"])[take].mean())
        )
        for form in FORMS[1:]
    }
    return found


def _z(reading: dict[str, float | None]) -> float:
    """Returns a reading's distance from its null in the null's spread, on a scale that is logarithmic far out."""
    value, mean, std = (reading[name] for name in ("value", "null_mean", "null_std"))
    return 0.0 if value is None or mean is None or not std else float(np.arcsinh((value - mean) / std))


def _left_out_losses(x: np.ndarray, y: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Returns each case's log loss under a logistic head fitted to the other datasets."""
    loss = np.zeros(len(y))
    for name in np.unique(group):
        out = group == name
        mean, std = x[~out].mean(axis=0), x[~out].std(axis=0) + 1e-9
        head = LogisticRegression(C=1.0).fit((x[~out] - mean) / std, y[~out])
        p = head.predict_proba((x[out] - mean) / std)[:, 1]
        loss[out] = -np.log(np.where(y[out], p, 1 - p))
    return loss


def _resampled(group: np.ndarray, statistic: Callable[[np.ndarray], float]) -> dict[str, float]:
    """Returns a statistic of the cases with its 95 % interval from drawing datasets again."""
    low, high = cluster_intervals(lambda take: {"it": statistic(take)}, group)["it"]
    value = statistic(np.arange(len(group)))
    return {"value": round(value, 4), "lower": round(float(low), 4), "upper": round(float(high), 4)}


def path_of(split: Split) -> Path:
    """Returns where a split's figures are kept; the name changes with whatever they depend on."""
    digest = hashlib.sha256(repr((_VERSION, split, tiers(), FORMS)).encode()).hexdigest()[:12]
    return WORK / f"{split.name}-{digest}.json"


def _run(split: Split) -> None:
    warnings.filterwarnings("ignore")
    document = train_split(split)
    write_atomically(path_of(split), json.dumps(document).encode())


def main() -> None:
    """Trains what is missing, gathers what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("splits", nargs="*", default=list(SPLITS), help="train these only")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    if unknown := [name for name in args.splits if name not in SPLITS]:
        parser.error(f"no such split here: {', '.join(unknown)}; there are {', '.join(SPLITS)}")
    every = sorted((split for split in splits() if split.name in SPLITS), key=lambda split: SPLITS.index(split.name))
    pending = [split for split in every if split.name in args.splits and not path_of(split).exists()]
    begun = time.perf_counter()
    # Before the workers start, as libraries read it when they load.
    os.environ |= _ONE_THREAD
    with ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_run, split): split for split in pending}
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            minutes = (time.perf_counter() - begun) / 60
            print(f"{futures[future].name}: {done} of {len(pending)} in {minutes:.1f} min", flush=True)
    there = [json.loads(path_of(split).read_text(encoding="utf-8")) for split in every if path_of(split).exists()]
    if len(there) < _LEAST_SPLITS:
        raise SystemExit(f"{len(there)} splits are there; {_LEAST_SPLITS} are the least that can be compared")
    result = gather(there) | {"missing": [split.name for split in every if not path_of(split).exists()]}
    for row in result["likelihood"]:
        print({key: value for key, value in row.items() if key != "by_split"})
    print(json.dumps({key: result[key] for key in ("cost", "verdict")}, indent=1))
    save("cascade_networks", result, "python -m benchmarks.cascade_networks")


if __name__ == "__main__":
    main()
