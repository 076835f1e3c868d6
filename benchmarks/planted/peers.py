"""What public methods say of each row: one number a row, higher is more suspicious.

Each as its documentation shows it, on numbers standardised by the reference and one-hot categories. cleanlab's Datalab
runs in an environment of its own (`datalab.py`), since it asks for other versions of common packages than `vr` does.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from benchmarks.collapse.peers import Matrix
from benchmarks.skill_loss import floats, is_number

__all__ = ["DATALAB", "PEERS", "Peers", "datalab_scores"]

PEERS = ("isolation_forest", "local_outlier_factor", "nearest_reference", "two_sample_classifier")
DATALAB = "datalab"
_NEIGHBOURS = 5
_MOST_CLASSES = 20  # values of a numeric label that count as classes


class Peers:
    """The methods, fitted to a reference."""

    def __init__(self, reference: pa.Table):
        self.matrix = Matrix(reference)
        self.base = self.matrix.of(reference)
        self.forest = IsolationForest(random_state=0).fit(self.base)
        self.local = LocalOutlierFactor(n_neighbors=20, novelty=True).fit(self.base)
        self.nearest = NearestNeighbors(n_neighbors=_NEIGHBOURS).fit(self.base)

    def scores(self, candidate: pa.Table) -> dict[str, np.ndarray]:
        """Returns each method's score of every row of the candidate."""
        x = self.matrix.of(candidate)
        return {
            "isolation_forest": -self.forest.score_samples(x),
            "local_outlier_factor": -self.local.score_samples(x),
            "nearest_reference": self.nearest.kneighbors(x)[0].mean(axis=1),
            "two_sample_classifier": _two_sample(x, self.base),
        }


def _two_sample(x: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Log odds of each row being the candidate's, by boosted trees that did not see its fold."""
    rng = np.random.default_rng(0)
    folds = [rng.permutation(len(side)) % _NEIGHBOURS for side in (x, base)]
    odds = np.empty(len(x))
    for fold in range(_NEIGHBOURS):
        rows = np.concatenate([x[folds[0] != fold], base[folds[1] != fold]])
        labels = np.r_[np.ones((folds[0] != fold).sum()), np.zeros((folds[1] != fold).sum())]
        model = HistGradientBoostingClassifier(max_iter=50, random_state=0).fit(rows, labels)
        odds[folds[0] == fold] = model.decision_function(x[folds[0] == fold])
    return odds


def datalab_scores(files: dict[str, tuple[pa.Table, str]], reference: pa.Table, python: str) -> dict[str, np.ndarray]:
    """Returns Datalab's score of every row of each file, by the file's name.

    Args:
      files: By name the candidate and its label's column.
      reference: What numbers are standardised by.
      python: The interpreter of an environment that has `cleanlab[datalab]`.

    Raises:
      RuntimeError: It failed; with the end of what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, (table, label) in files.items():
            x = Matrix(reference.drop_columns([label])).of(table.drop_columns([label]))
            column = table[label]
            numeric = is_number(column.type) and len(column.unique()) > _MOST_CLASSES
            if numeric:
                y = np.nan_to_num(floats(column))
            else:
                y = np.unique([str(value) for value in column.to_pylist()], return_inverse=True)[1]
            np.savez(Path(folder) / f"{name}.npz", x=x, y=y, numeric=numeric)
        script = Path(__file__).with_name("datalab.py")
        done = subprocess.run([python, str(script), folder], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{python} {script.name} ended with {done.returncode}: {(done.stderr)[-2000:]}")
        versions = json.loads(done.stdout.strip().splitlines()[-1])
        found = {name: np.load(Path(folder) / f"{name}.scores.npy") for name in files}
        return found | {"versions": versions}
