"""The evidence against every row of every file, as `vr validate` gathers it: a file a dataset, kept once it is made."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.planted.cases import Case, cases_of, material_of, reference_of
from benchmarks.planted.fitting import Observed
from vr.cascade.config import preset
from vr.data.hashing import hash_batch
from vr.data.repeats import Repeats
from vr.data.source import open_source
from vr.detector.inputs import Inputs
from vr.localization.row_evidence import Evidence, RowEvidence
from vr.pipeline.config import Config
from vr.pipeline.intake import Intake, take_in
from vr.pipeline.localization import row_evidence

__all__ = ["evidence_of", "intake_of", "observe", "observed_of"]

_FIELDS = ("tails", "which_pair", "outside", "null", "wrong", "repeated")


def observed_of(dataset: str, folder: Path) -> list[Observed]:
    """Returns a dataset's files, an untouched one first, from `folder` where they are there."""
    path = folder / f"{dataset}.npz"
    cases = [None, *cases_of(dataset)]
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        known: dict[tuple, Any] = {}
        arrays = {}
        for i, case in enumerate(cases):
            one = observe(dataset, case, known)
            fields = (*one.evidence.arrays(), one.null, one.wrong, one.repeated)
            arrays |= {f"{name}-{i}": value for name, value in zip(_FIELDS, fields, strict=True)}
        partial = path.with_suffix(".partial.npz")
        np.savez_compressed(partial, **{k: v.astype(np.float32) if v.dtype == float else v for k, v in arrays.items()})
        os.replace(partial, path)
    result = []
    with np.load(path) as file:
        for i, case in enumerate(cases):
            tails, pair, outside, null, wrong, repeated = (file[f"{name}-{i}"] for name in _FIELDS)
            evidence = Evidence(tails.astype(float), pair, outside)
            result.append(_observed(dataset, case, wrong, evidence, null.astype(float), repeated))
    return result


def intake_of(dataset: str, table: pa.Table) -> Intake:
    """Returns a dataset's file beside its reference, taken in as `vr validate` does."""
    config = Config(cascade=preset("none"))
    return take_in(open_source(table), open_source(reference_of(dataset)), config, 1, lambda *_: None)


def evidence_of(intake: Intake, known: dict[tuple, Any]) -> RowEvidence:
    """Returns what speaks against a file's rows; `known` keeps what is fitted to the reference alone."""
    config = Config(cascade=preset("none"))
    found = row_evidence(intake, Inputs.of(intake, None, None, config.seed, 1, known), config, 1)
    assert found is not None
    return found


def observe(dataset: str, case: Case | None, known: dict[tuple, Any]) -> Observed:
    """Returns the evidence of one file; `known` keeps what is fitted to the reference alone."""
    if case is None:
        table = material_of(dataset).table
        wrong = np.zeros(table.num_rows, bool)
    else:
        table, wrong = case.make()
    intake = intake_of(dataset, table)
    evidence = evidence_of(intake, known)
    assert evidence.sample is not None
    repeated = _repeated(table, list(intake.codec.sources))
    return _observed(dataset, case, wrong, evidence.sample, evidence.null, repeated)


def _repeated(table: pa.Table, columns: list[str]) -> np.ndarray:
    return Repeats().mark(hash_batch(table, columns))


def _observed(
    dataset: str, case: Case | None, wrong: np.ndarray, evidence: Evidence, null: np.ndarray, repeated: np.ndarray
) -> Observed:
    if case is None:
        return Observed(f"{dataset}-none", "none", 0.0, wrong, evidence, null, repeated)
    return Observed(case.name, case.kind, case.share, wrong, evidence, null, repeated)
