"""Do the trained proxies add to the row scores: influence to which rows are found, gradients to which cells are named?

    OMP_NUM_THREADS=1 python -m benchmarks.planted_proxies

The files of `benchmarks/planted_defects.py` with 5 % of their rows planted, exact duplicates aside, and five seeds of
the laptop's first tier trained on each. *Rows*: the head that weighs the evidence, fitted to the other nine datasets'
files, without and with the proxies' influence of each row on held-out real rows as one more reading; AUROC and average
precision of the planted rows. *Cells*: of the planted rows whose cells were changed in place and that the row scores
give a defect, how often the column named first is one that was changed.

*Cost*: processor seconds of asking ten proxies about 1,000 rows of a table of 10,000 by 12: the first call, which
compiles, and a second one.

What is read of a dataset is kept in `--work`. About five processor minutes. Writes results/planted_proxies.json and
tables of docs/localization.md (`python -m benchmarks.planted.proxies_page`).
"""

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.measure import save
from benchmarks.planted.cases import DATASETS, Case, material_of
from benchmarks.planted.fitting import KIND_OF, Observed, fit_head
from benchmarks.planted.observe import evidence_of, intake_of
from benchmarks.planted.proxies_page import write_tables
from benchmarks.row_score_cost import table
from vr.cascade.config import CascadeConfig, Execution, TierConfig
from vr.cascade.members import shares
from vr.cascade.networks import Networks, packed
from vr.cascade.tier import Tier
from vr.cascade.train import run_cascade
from vr.core.workers import single_threaded
from vr.data.codec import Coded
from vr.data.hashing import hash_batch
from vr.data.repeats import Repeats
from vr.data.source import open_source
from vr.localization.attribution import Attribution, attribute
from vr.localization.evidence import TailScale
from vr.localization.explain import explain
from vr.localization.judge import DEFECTS
from vr.localization.proxies import Proxies
from vr.localization.row_evidence import Evidence
from vr.localization.scorer import RowScorer
from vr.models.build import mlp, resonance_parameters
from vr.pipeline.config import Config
from vr.pipeline.intake import Intake, take_in

SHARE = 0.05
IN_PLACE = ("label_flips", "outliers", "shuffled_cells", "impossible_combinations")  # whose rows keep their other cells
_CASCADE = CascadeConfig(
    tiers=[TierConfig(name="tier_1", seeds=5, width=8, steps=300)], threads=1, execution=Execution.looped
)
_METHODS = ("report", "report_gradients", "surprise", "outermost", "loss", "gradients", "difference")


def networks_of(intake: Intake, prepared: dict[str, Tier]) -> Networks:
    """Returns the proxies trained on a file and its reference; `prepared` keeps what is trained on the latter alone."""
    assert intake.reference is not None
    pairs = intake.pair_columns
    codes = intake.reference.codes[:, pairs], intake.candidate.codes[:, pairs]
    sizes = intake.columns.num_codes[pairs].tolist()
    networks = run_cascade(*codes, sizes, _CASCADE, 0, prepared=prepared, keep_networks=True).networks
    assert networks is not None
    return networks


def read(case: Case, known: dict[tuple, Any], prepared: dict[str, Tier]) -> dict[str, np.ndarray]:
    """Returns what the row scores and the proxies say of a file."""
    file, wrong = case.make()
    intake = intake_of(case.dataset, file)
    assert intake.reference is not None
    repeated = Repeats().mark(hash_batch(file, list(intake.codec.sources)))
    fitted = evidence_of(intake, known)
    scorer = RowScorer.of(fitted, repeated, duplicate_weight=0.0)
    networks = networks_of(intake, prepared)
    real = scorer.evidence.norms.rows.codes
    codes = np.concatenate([intake.candidate.codes, real])
    asked = Proxies(networks, intake.pair_columns, influence=True, gradients=False).ask(codes).influence
    evidence = scorer.evidence.sample
    assert evidence is not None
    found = {
        "tails": evidence.tails,
        "null": scorer.evidence.null,
        "wrong": wrong,
        "repeated": repeated,
        "influence": asked[: -len(real)],
        "influence_null": asked[-len(real) :],
    }
    if case.kind in IN_PLACE:
        found |= named(case, intake, scorer, networks, np.flatnonzero(wrong))
    return found


def named(case: Case, intake: Intake, scorer: RowScorer, networks: Networks, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Returns of planted rows which columns were changed, bool `[m, d]`, and by method the one that is named first."""
    assert intake.reference is not None
    assert scorer.evidence.sample is not None
    norms, pairs, columns = scorer.evidence.norms, intake.pair_columns, intake.columns
    side = intake.candidate.take(rows)
    readings = scorer.judge.read(scorer.evidence.sample.take(rows), np.zeros(len(rows), bool))
    outer, closer = norms.outer(Coded(side.codes, side.values), side.rows), norms.read_closer(side)
    first = {j: head for head, parts in columns.parts.items() for j in parts}

    def worst(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
        return np.array([first[int(positions[j])] for j in values.argmax(axis=1)])

    def told(*attributed: list) -> np.ndarray:
        found = explain(scorer, side, readings, intake.reference, *attributed)  # type: ignore[arg-type]
        return np.array([blamed[0] if blamed else -1 for blamed, _ in found])

    with single_threaded():
        by_arm = {arm: attributions(networks, arm, side.codes[:, pairs]) for arm in ("reference", "candidate")}
    blame = {arm: np.mean([each.blame(np.arange(len(pairs))) for each in found], 0) for arm, found in by_arm.items()}
    complete = np.array([each.complete for found in by_arm.values() for each in found])
    shares = np.zeros((len(rows), len(columns.names)))
    shares[:, pairs] = blame["reference"]
    return {
        "changed": changed(case, intake, rows),
        "defect": readings.defect,
        "report": told(),
        "report_gradients": told(
            [row if whole else None for row, whole in zip(shares, complete.all(axis=0), strict=True)]
        ),
        "surprise": worst(closer.cells, norms.predicted),
        "outermost": worst(outer, np.arange(len(columns.names))),
        "loss": worst(np.mean([each.shown for each in by_arm["reference"]], axis=0), pairs),
        "gradients": worst(blame["reference"], pairs),
        "difference": worst(blame["reference"] - blame["candidate"], pairs),
        "complete": complete,
    }


def attributions(networks: Networks, arm: str, codes: np.ndarray) -> list[Attribution]:
    """Returns each seed's attribution of rows, unsigned codes `[m, p]`."""
    columns = np.arange(codes.shape[1])
    return [
        attribute(lambda x, w, rows, s=seed: networks.path_gradients(arm, s, codes[rows], columns, x, w), len(codes))  # type: ignore[misc]
        for seed in range(len(networks))
    ]


def changed(case: Case, intake: Intake, rows: np.ndarray) -> np.ndarray:
    """Returns which cells of planted rows differ from what they were, bool `[m, d]`, at a column's first position."""
    before, after = material_of(case.dataset).table, case.make().table
    result = np.zeros((len(rows), len(intake.columns.names)), bool)
    for j in intake.columns.parts:
        old, new = (side[intake.columns.names[j]].take(rows).to_pylist() for side in (before, after))
        # NaN differs from itself.
        result[:, j] = [a != b and not (a != a and b != b) for a, b in zip(old, new, strict=True)]
    return result


def kept(name: str, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Returns what is read of a dataset's files by kind, from `folder` where it is there."""
    found: dict[str, dict[str, np.ndarray]] = {}
    known: dict[tuple, Any] = {}
    prepared: dict[str, Tier] = {}
    for kind in KIND_OF:
        case = Case(name, kind, SHARE)
        path = folder / f"{case.name}.npz"
        if not path.exists():
            partial = path.with_suffix(".partial.npz")
            np.savez_compressed(partial, **read(case, known, prepared))  # type: ignore[arg-type]
            os.replace(partial, path)
            print(case.name, flush=True)
        with np.load(path) as file:
            found[kind] = dict(file)
    return found


def observed_of(name: str, files: Mapping[str, dict[str, np.ndarray]], *, influence: bool) -> list[Observed]:
    """Returns a dataset's files as the head is fitted to them, with the influence as one more reading or without."""
    result = []
    for kind, file in files.items():
        tails, null = file["tails"], file["null"]
        if influence:
            scale = TailScale.fit(file["influence_null"])
            tails = np.column_stack([tails, scale(file["influence"])])
            null = np.column_stack([null, scale(file["influence_null"])])
        nothing = np.zeros(len(tails), np.int64)
        evidence = Evidence(tails, nothing, nothing > 0)
        result.append(Observed(name, kind, SHARE, file["wrong"], evidence, null, file["repeated"]))
    return result


def rows_found(files: Mapping[str, Mapping[str, dict[str, np.ndarray]]], *, influence: bool) -> dict[str, list[float]]:
    """Returns by kind AUROC and average precision, means over datasets, of heads that did not see the dataset."""
    observed = {name: observed_of(name, found, influence=influence) for name, found in files.items()}
    scores: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KIND_OF}
    for name, own in observed.items():
        head = fit_head([one for other, found in observed.items() if other != name for one in found])
        for one in own:
            odds = np.logaddexp.reduce(head.log_odds(one.evidence.tails), axis=1)
            scores[one.kind].append((roc_auc_score(one.wrong, odds), average_precision_score(one.wrong, odds)))
    return {kind: np.mean(each, axis=0).round(4).tolist() for kind, each in scores.items()}


def alone(files: Mapping[str, Mapping[str, dict[str, np.ndarray]]]) -> dict[str, list[float]]:
    """Returns the same of influence by itself."""
    found: dict[str, list[float]] = {}
    for kind in KIND_OF:
        pairs = [(file[kind]["wrong"], file[kind]["influence"]) for file in files.values()]
        scores = [(roc_auc_score(wrong, x), average_precision_score(wrong, x)) for wrong, x in pairs]
        found[kind] = np.mean(scores, axis=0).round(4).tolist()
    return found


def cells_named(files: Mapping[str, Mapping[str, dict[str, np.ndarray]]]) -> dict[str, dict[str, float]]:
    """Returns by the defect that rows were given how often each method names a changed column first, and how many."""
    joined: dict[str, list[np.ndarray]] = {name: [] for name in ("defect", *_METHODS, "chance")}
    for found in files.values():
        for kind in IN_PLACE:
            file = found[kind]
            listed = np.flatnonzero(file["changed"].any(axis=1) & (file["defect"] > 0))
            truth = file["changed"][listed]
            for method in _METHODS:
                column = file[method][listed]
                joined[method].append(truth[np.arange(len(listed)), column] & (column >= 0))
            joined["defect"].append(file["defect"][listed])
            joined["chance"].append(truth.mean(axis=1))
    defect = np.concatenate(joined["defect"])
    methods = (*_METHODS, "chance")
    groups = {DEFECTS[k]: defect == k for k in np.unique(defect) if (defect == k).sum() >= 50} | {"all": defect > 0}
    return {
        name: {"rows": int(rows.sum())}
        | {method: round(float(np.concatenate(joined[method])[rows].mean()), 4) for method in methods}
        for name, rows in groups.items()
    }


def cost() -> dict[str, list[float]]:
    """Returns processor seconds of asking for influence and for gradients, the first time and the second."""
    sides = (open_source(table(10_000, 12, seed)) for seed in (1, 0))
    intake = take_in(*sides, Config(), 1, lambda *_: None)
    assert intake.reference is not None
    codes, sizes = (intake.reference.codes, intake.candidate.codes), intake.columns.num_codes
    config = CascadeConfig()
    smallest, d, k = config.tiers[0], len(sizes), int(sizes.max())
    parameters = resonance_parameters(d, k, smallest.width, smallest.depth)
    model, rng = mlp(d, k, parameters, smallest.depth), np.random.default_rng(0)
    # What they have learnt does not change what they cost.
    drawn = [0.1 * rng.standard_normal(model.parameters).astype(np.float32) for _ in range(smallest.seeds)]
    share = shares(len(codes[0]), len(codes[1]), config)
    document = packed({"reference": drawn, "candidate": drawn})
    networks = Networks.of(document, model, share, smallest.name, *codes, 0)
    found: dict[str, list[float]] = {}
    for name in ("influence", "gradients"):
        asked = Proxies(networks, intake.pair_columns, name == "influence", name == "gradients")
        for _ in range(2):
            begun = time.process_time()
            asked.ask(codes[1][:1_000])
            found.setdefault(name, []).append(round(time.process_time() - begun, 2))
    return found


def main() -> None:
    """Reads all files, judges, and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("outputs/planted_proxies"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    # Before anything else is compiled.
    seconds = cost()
    files = {name: kept(name, options.work) for name in DATASETS}
    complete = np.concatenate([files[name][kind]["complete"].ravel() for name in files for kind in IN_PLACE])
    result = {
        "rows": {
            "without influence": rows_found(files, influence=False),
            "with influence": rows_found(files, influence=True),
            "influence alone": alone(files),
        },
        "cells": cells_named(files),
        "complete": round(float(complete.mean()), 5),
        "attributions": int(complete.size),
        "cost": seconds,
    }
    save("planted_proxies", result, "python -m benchmarks.planted_proxies")
    write_tables()


if __name__ == "__main__":
    main()
