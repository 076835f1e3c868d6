"""What peers say of each row of each file, a parquet file a dataset: made once, kept, and read from then on."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.planted.cases import DATASETS, cases_of, reference_of
from benchmarks.planted.peers import DATALAB, PEERS, Peers, datalab_scores

__all__ = ["RESULTS", "peers_of"]

RESULTS = Path(__file__).parent.parent / "results" / "planted"


def peers_of(dataset: str, python: str | None, folder: Path = RESULTS) -> dict[str, dict[str, np.ndarray]]:
    """Returns by case, by peer, a rank of every row (float `[n]`, 0 to 1, higher is more suspicious).

    Args:
      dataset: Name in `DATASETS`.
      python: Interpreter with `cleanlab[datalab]`, for a dataset that `folder` does not hold yet.
      folder: Where the ranks are kept.

    Raises:
      RuntimeError: The folder does not hold them and there is no interpreter.
    """
    path = folder / f"{dataset}.parquet"
    if not path.exists():
        if python is None:
            raise RuntimeError(f"{path} is not there: --datalab PYTHON, with cleanlab[datalab], makes it")
        _make(dataset, python, path)
    table = pq.read_table(path)
    names = table["case"].to_numpy(zero_copy_only=False)
    return {
        case.name: {peer: table[peer].to_numpy()[names == case.name] / 65_535 for peer in (*PEERS, DATALAB)}
        for case in cases_of(dataset)
    }


def _make(dataset: str, python: str, path: Path) -> None:
    reference = reference_of(dataset)
    peers = Peers(reference)
    files = {case.name: (case.make().table, DATASETS[dataset]) for case in cases_of(dataset)}
    found = datalab_scores(files, reference, python)
    versions = found.pop("versions")
    columns: dict[str, list] = {name: [] for name in ("case", *PEERS, DATALAB)}
    for name, (table, _) in files.items():
        columns["case"].append(np.full(table.num_rows, name))
        for peer, scores in (peers.scores(table) | {DATALAB: found[name]}).items():
            columns[peer].append(_ranks(scores))
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    cases = pa.array(joined.pop("case")).dictionary_encode()
    result = pa.table({"case": cases, **joined}).replace_schema_metadata({"datalab": json.dumps(versions)})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    pq.write_table(result, partial, compression="zstd")
    os.replace(partial, path)


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Equal scores have equal ranks; all that AUROC and average precision depend on."""
    order = np.unique(scores, return_inverse=True)[1]
    return np.round(65_535 * order / max(1, int(order.max()))).astype(np.uint16)
