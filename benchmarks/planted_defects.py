"""Which planted defects do the row scores find, beside what public methods find in the same files?

    OMP_NUM_THREADS=1 python -m benchmarks.planted_defects                     # from the committed peers' ranks
    OMP_NUM_THREADS=1 python -m benchmarks.planted_defects --datalab PYTHON    # makes ranks that are not there

Nine kinds of defects (`benchmarks/planted/plant.py`) in 1, 5 and 10 % of the rows of held-out real rows, against other
real rows of the same dataset as the reference; no method is told which kind is planted. The head that weighs the
evidence is fitted to all datasets but the one that it judges, and then, for `vr/localization/head.json`, to all.
Beside it (`vr_unseen`) stands one that was fitted without the judged kind too.
PYTHON is the interpreter of an environment with `cleanlab[datalab]`. What is made for a dataset is kept in `--work`, so
that a run goes on where it was broken off. Writes benchmarks/results/planted_defects.json, the head, and the tables of
docs/localization.md. Half an hour on one core, nearly all of it peers.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.measure import save
from benchmarks.planted.cases import DATASETS, family_of, reference_of
from benchmarks.planted.fitting import KIND_OF, Observed, akin_to, fit_head
from benchmarks.planted.observe import observed_of
from benchmarks.planted.page import write_tables
from benchmarks.planted.plant import KINDS
from benchmarks.planted.store import RESULTS, peers_of
from vr.data.hashing import hash_batch
from vr.data.repeats import Repeats
from vr.localization import head as head_module
from vr.localization.head import Head
from vr.localization.judge import DEFECTS, Judge

__all__ = ["duplicate_weight", "measure"]

_BINS = 10
_HEAD = Path(head_module.__file__).with_name("head.json")


def duplicate_weight(repeated: np.ndarray, ordinary: float) -> float:
    """Returns the share of a file's repeats that real rows do not explain, as `vr validate` takes it.

    Args:
      repeated: bool `[n]`.
      ordinary: Share of repeats in real rows of the same number.
    """
    share = float(repeated.mean())
    return 0.0 if share - ordinary <= 0.01 else (share - ordinary) / share


def ordinary_repeats(dataset: str, num_rows: int) -> float:
    """Returns the share of so many reference rows that repeat an earlier one of them."""
    rows = reference_of(dataset).slice(0, num_rows)
    return float(Repeats().mark(hash_batch(rows.combine_chunks().to_batches()[0], rows.column_names)).mean())


def measure(observed: Sequence[Observed], head: Head) -> list[dict]:
    """Returns for each file of a dataset how well its planted rows are ranked, their kinds, and the confidences."""
    ordinary = ordinary_repeats(observed[0].case.partition("-")[0], len(observed[0].wrong))
    result = []
    for one in observed:
        weight = duplicate_weight(one.repeated, ordinary)
        judge = Judge.fit(head, one.null, one.evidence, one.repeated, weight, ordinary)
        readings = judge.read(one.evidence, one.repeated)
        confidence = judge.confidence(readings)
        place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
        entry = {
            "case": one.case,
            "kind": one.kind,
            "share": one.share,
            "scores": {},
            "named": np.bincount(readings.defect[one.wrong], minlength=len(DEFECTS)).tolist(),
            "confidence": [
                [int((place == i).sum()), float(confidence[place == i].sum()), int(one.wrong[place == i].sum())]
                for i in range(_BINS)
            ],
        }
        if one.wrong.any():
            entry["scores"]["vr"] = ranked(one.wrong, readings.total)
        result.append(entry)
    return result


def unseen(observed: Sequence[Observed], others: Sequence[Observed]) -> dict[str, list[float]]:
    """Returns by case how planted rows are ranked by heads that saw neither the dataset nor the kind."""
    found = {}
    for kind in KIND_OF:
        files = [one for one in observed if one.kind == kind]
        for entry in measure(files, fit_head(others, akin_to(kind))):
            found[entry["case"]] = entry["scores"]["vr"]
    return found


def ranked(wrong: np.ndarray, scores: np.ndarray) -> list[float]:
    """Returns AUROC and average precision."""
    return [round(float(f(wrong, scores)), 4) for f in (roc_auc_score, average_precision_score)]


def main() -> None:
    """Measures all datasets, dataset by dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datalab", metavar="PYTHON", help="interpreter with cleanlab[datalab]")
    parser.add_argument("--work", type=Path, default=Path("outputs/planted"))
    parser.add_argument("--peers", type=Path, default=RESULTS, help="folder of the peers' ranks")
    options = parser.parse_args()
    observed: dict[str, list[Observed]] = {}
    for name in DATASETS:
        observed[name] = observed_of(name, options.work)
        print(f"{name}: {len(observed[name])} files read", flush=True)
    entries = []
    for name in DATASETS:
        others = [one for other, files in observed.items() if other != name for one in files]
        found = measure(observed[name], fit_head(others))
        strange = unseen(observed[name], others)
        peers = peers_of(name, options.datalab, options.peers)
        for one, entry in zip(observed[name], found, strict=True):
            entry["dataset"] = name
            if one.wrong.any():
                # Exact copies are told by equality, which nothing is fitted for.
                entry["scores"]["vr_unseen"] = strange.get(one.case, entry["scores"]["vr"])
                entry["scores"] |= {peer: ranked(one.wrong, ranks) for peer, ranks in peers[one.case].items()}
        entries += found
        print(f"{name}: judged", flush=True)
    head = fit_head([one for files in observed.values() for one in files])
    document = head.to_document() | {"datasets": list(DATASETS), "made_by": "python -m benchmarks.planted_defects"}
    _HEAD.write_text(json.dumps(document, indent=1) + "\n")
    versions = json.loads(pq.read_schema(options.peers / f"{next(iter(DATASETS))}.parquet").metadata[b"datalab"])
    result = {
        "datasets": {name: {"label": label, "family": family_of(name)} for name, label in DATASETS.items()},
        "kinds": list(KINDS),
        "defects": list(DEFECTS),
        "datalab_versions": versions,
        "cases": entries,
    }
    save("planted_defects", result, "python -m benchmarks.planted_defects")
    write_tables()


if __name__ == "__main__":
    main()
