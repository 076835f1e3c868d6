"""Fits the pre-screen and makes the library of signatures that the package ships, from the committed results.

    python -m experiments.fit_signatures [--workers 2]

Minutes. Reads benchmarks/results/collapse/{labels,features}.parquet. Writes vr/signatures/shipped.json (the library),
vr/signatures/prescreen.json (the head with its error card) and benchmarks/results/signatures.json (what the
documentation shows beside them; `python -m benchmarks.collapse.signatures_page` puts it there).

Every figure of the error card comes from heads and libraries without the dataset and without the source (generator
family, damage or harmless change) of the case that they answer for; so does whether a case is outside the library, but
for real rows, which are compared with real rows. Families and depths are named by signatures of other datasets; the
clusters describe, and are held out from nothing. How the probability is made, by the nearest signatures or by a head,
is chosen for every such case anew, by inner folds that hold out datasets and sources of the rest.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.collapse import signature_study as study
from benchmarks.collapse.evidence import RESULTS, load_cases, versions_of
from benchmarks.collapse.fitting import fit_calibrated
from benchmarks.collapse.judging import Answers, by_group, card, differences
from vr.detector.config import DetectorConfig
from vr.detector.dimensions.base import Measurement
from vr.detector.metric import Feature
from vr.detector.registry import DIMENSIONS
from vr.pipeline.assemble import collapse_type, dimension_sections
from vr.signatures.components import NAMES
from vr.signatures.document import to_text
from vr.signatures.fingerprint import fingerprint
from vr.signatures.signature import Origin, Outcome, Signature

FOLDER = Path(__file__).parents[1] / "vr" / "signatures"
STUDY = RESULTS.parent / "signatures.json"
VERSION = "2026.11.1"


def main() -> None:
    """Fits, judges, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    everything, table = load_cases(["features"], seen=True)
    apart = ~np.array(table["seen"])
    cases, rows = everything.take(apart), table.filter(pa.array(apart)).to_pylist()
    signatures = [signature_of(row, features) for row, features in zip(rows, features_of(rows), strict=True)]
    provenance = {
        "version": VERSION,
        "made_by": versions_of("features"),
        "command": "python -m experiments.fit_signatures",
        "from": "benchmarks/results/collapse/labels.parquet and features.parquet",
        "outcome": "boosted trees trained on the dataset and on as many real rows, judged on untouched real rows",
    }
    text = to_text(sorted(signatures, key=lambda each: each.id), provenance)
    (FOLDER / "shipped.json").write_text(text, encoding="utf-8")
    print(f"shipped.json: {len(signatures)} signatures, {len(text.encode()) / 1e6:.2f} MB")

    answers, methods = study.judged(everything, apart, args.workers)
    within = answers.take(apart)
    found = card(cases, within)
    outside = study.outside(cases)
    document = {
        "version": VERSION,
        "head": fit_calibrated(cases, NAMES).to_dict(),
        "outside_below": outside["threshold"],
        "card": {
            "protocol": "leave-dataset-and-source-out",
            "datasets": len(np.unique(cases.datasets)),
            "sources": len(np.unique(cases.sources)),
            "all": stops(found["all"]),
            "clear": stops(found["clear"]),
            "from_reference": stops(card(everything.take(~apart), answers.take(~apart))["clear"]),
        },
    }
    document["head"]["card"] = {}
    write(FOLDER / "prescreen.json", document)
    kinds = np.array([row["kind"] for row in rows])
    result = {
        "command": "python -m experiments.fit_signatures",
        "card": document["card"],
        "chosen": methods["chosen"],
        "methods": {
            name: {kind: stops(found[kind]) for kind in ("all", "clear")}
            for name, found in ((name, card(cases, each.take(apart))) for name, each in methods["answers"].items())
        },
        "head_over_nearest": differences(
            cases, methods["answers"]["head"].take(apart), best_nearest(cases, methods, apart)
        ),
        "by_kind": by_group(cases, within, kinds),
        "by_source": by_group(cases, within, np.array([row["source"] for row in rows])),
        "outside": outside,
        "look_alike": study.look_alike(cases, rows),
        "clusters": study.clusters(cases, rows),
    }
    write(STUDY, result)
    for kind in ("all", "clear", "from_reference"):
        values = {name: v for name, v in document["card"][kind].items() if len(v) == 3}
        print(f"{kind}: " + "  ".join(f"{name} {v[0]:.3f} ({v[1]:.3f} to {v[2]:.3f})" for name, v in values.items()))
    print(f"chosen: {methods['chosen']}; outside below {outside['threshold']}")


def stops(found: dict[str, list[float]]) -> dict[str, list[float]]:
    """Returns a card in the words of the pre-screen: how many of the collapsed and of the healthy are stopped."""
    kept = {name: found[name] for name in ("cases", "positives", "auroc", "brier", "ece", "spearman") if name in found}
    missed = found["fnr"]
    stopped = [round(1.0 - missed[0], 4), round(1.0 - missed[2], 4), round(1.0 - missed[1], 4)]
    return kept | {"stopped": stopped, "healthy_stopped": found["fpr"]}


def best_nearest(cases: Any, methods: dict[str, Any], apart: np.ndarray) -> Answers:
    """Returns the answers of the nearest signatures at their best, chosen with hindsight: an advantage to them."""
    named = {name: each.take(apart) for name, each in methods["answers"].items() if name.startswith("nearest")}
    return max(named.values(), key=lambda each: card(cases, each, draws=2)["clear"]["auroc"][0])


def features_of(rows: list[dict[str, Any]]) -> list[dict[str, Feature]]:
    """Returns the measured features of each labelled case."""
    measured = {row["case"]: row for row in pq.read_table(RESULTS / "features.parquet").to_pylist()}
    return [_features(measured[row["case"]]) for row in rows]


def _features(row: dict[str, Any]) -> dict[str, Feature]:
    found = {}
    for dimension, each in DIMENSIONS.items():
        for metric in each.metrics:
            name = f"{dimension}.{metric}"
            value = row.get(name)
            if value is None or not np.isfinite(value):
                found[name] = Feature.missing("not measured")
            else:
                parts = (row.get(f"{name}:{part}") for part in ("spread", "null_mean", "null_std"))
                found[name] = Feature(value, *parts)
    return found


def signature_of(row: dict[str, Any], features: dict[str, Feature]) -> Signature:
    """Returns the signature of a labelled case."""
    return Signature(
        fingerprint(features),
        Origin(
            dataset=row["dataset"],
            kind=row["kind"],
            source=row["source"],
            workflow=row["workflow"],
            generation=int(row["generation"]),
            real_share=float(row["real_share"]),
            strength=float(row["strength"]),
        ),
        Outcome(row["label"], round(float(row["s"]), 4), _rounded(row["s_tail"])),
        _type(features, detected=row["label"] == "collapsed"),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 4)


def _type(features: dict[str, Feature], *, detected: bool) -> str | None:
    """Returns the kind of collapse as a report would name it: that of the dimension that fails by most."""
    measurements = {
        name: Measurement({metric: features[f"{name}.{metric}"] for metric in dimension.metrics})
        for name, dimension in DIMENSIONS.items()
    }
    return collapse_type(dimension_sections(measurements, DetectorConfig(), "untrained", "not measured"), detected)


def write(path: Path, document: dict[str, Any]) -> None:
    """Writes a result."""
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
