"""Does the proxies' influence foretell what training without rows does, and does dropping the worst of them help?

    OMP_NUM_THREADS=1 python -m benchmarks.influence_scores

Three datasets' files of real rows, a tenth of them with shuffled cells, and a network of the laptop's first tier.
Linear datamodeling score (Park et al. 2023, TRAK, arXiv 2303.14186): the network is trained on 40 random halves of the
rows, three seeds each; by target, Spearman's correlation over the halves between its loss, mean over seeds, and the sum
of the influences of the rows that were trained on. Targets are 40 held-out real rows one by one, and their mean.
Beside influence at several dampings stands the plain product of gradients, one seed in place of five, and a row's own
loss, which is no influence at all. `ceiling` is what one seed of a half says of the mean of the other two.

Then the tenth of the rows is dropped that has most influence, that has most row score, that is wrong in truth, or a
random one, and the network is trained on the rest: change of the held-out loss against all rows, mean over six seeds.

About five processor minutes. Writes results/influence_scores.json; `python -m
benchmarks.planted.proxies_page` puts its tables into docs/localization.md.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import rankdata

from benchmarks.measure import save
from benchmarks.planted.cases import Case
from benchmarks.planted.observe import intake_of, observe
from vr.cascade.cells import last_layer
from vr.cascade.config import CURVE_POINTS
from vr.cascade.members import log_marginals
from vr.cascade.step import Data, Segment, TrainSettings, advance, random_masks, start
from vr.core.workers import single_threaded
from vr.localization.head import load_head
from vr.localization.influence import Cells, directions, influence
from vr.localization.judge import Judge
from vr.models import build
from vr.models.table import INVALID
from vr.pipeline.report import write_atomically

DATASETS = ("crime1", "injury", "ImageSegments")
KIND, SHARE = "shuffled_cells", 0.1
HALVES, SEEDS, ENSEMBLE, TARGETS = 40, 3, 5, 40
DAMPINGS = (0.1, 1.0, 10.0)
JUDGED = 400  # other held-out rows
DROPPED, DROPPED_SEEDS = 0.1, 6
STEPS, BATCH, RATE, WIDTH, DEPTH = 300, 128, 3e-3, 8, 2  # of the laptop's first tier


class Learner:
    """Trains networks of one shape on rows of one table, and reads them."""

    def __init__(self, codes: np.ndarray, sizes: np.ndarray):
        d, k = codes.shape[1], int(sizes.max())
        self.codes, self.sizes = codes, sizes
        self.model = build.mlp(d, k, build.resonance_parameters(d, k, WIDTH, DEPTH), DEPTH)
        self.settings = TrainSettings(STEPS, BATCH)
        self._advance = jax.jit(lambda *x: advance(self.model, self.settings, *x))
        self._read = jax.jit(lambda *x: last_layer(self.model, *x))

    def trained(self, rows: np.ndarray, seed: int) -> np.ndarray:
        """Returns the parameters after training on some rows; one seed draws alike whatever these are."""
        rng, codes = np.random.default_rng(seed), self.codes[rows]
        state = start(self.model.init(rng, log_marginals(codes, self.sizes, INVALID)), RATE)
        few, nothing = codes[:1].T.astype(np.int32), np.zeros((codes.shape[1], 0))
        data = Data(codes.T.astype(np.int32), few, few >= 0, nothing.astype(np.int32), nothing > 0)
        for segment in self._segments(len(rows), rng):
            state, _ = self._advance(state, data, segment)
        return np.asarray(state.averaged)

    def _segments(self, num_rows: int, rng: np.random.Generator) -> Iterator[Segment]:
        drawn = STEPS * BATCH
        order = np.concatenate([rng.permutation(num_rows) for _ in range(-(-drawn // num_rows))])[:drawn]
        for batches in order.reshape(CURVE_POINTS, -1, BATCH):
            masks = random_masks(rng, (len(batches), self.codes.shape[1], BATCH))
            yield Segment(batches.astype(np.int32), masks)

    def cells(self, params: np.ndarray, codes: np.ndarray) -> Cells:
        """Returns the last layer of rows, every column predicted."""
        found = self._read(jnp.asarray(params), jnp.asarray(codes.T, jnp.int32), jnp.arange(codes.shape[1]))
        return Cells.of(np.asarray(found.inputs), np.asarray(found.probabilities), codes.T.astype(int))


def losses_of(cells: Cells) -> np.ndarray:
    """Returns each row's mean loss over its cells, `[n]`."""
    chosen = np.take_along_axis(cells.probabilities, cells.codes[:, :, None], axis=2)[:, :, 0]
    return -np.log(np.maximum(chosen, 1e-12)).mean(axis=0)


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns the rank correlation of each column of `x` `[m, t]` with that of `y`, `[t]`."""
    a, b = (rankdata(z, axis=0) - (len(z) + 1) / 2 for z in (x, y))
    return (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))


def scores_of(learner: Learner, held_out: np.ndarray) -> dict[str, np.ndarray]:
    """Returns by method the influence of each row on each held-out row, `[t, n]`."""
    everything, n = np.arange(len(learner.codes)), len(learner.codes)
    found: dict[str, np.ndarray] = {}

    def add(name: str, each: np.ndarray) -> None:
        # Seeds have scales of their own.
        found[name] = found.get(name, 0.0) + each / each.std()

    for seed in range(ENSEMBLE):
        params = learner.trained(everything, 100 + seed)
        cells, real = learner.cells(params, learner.codes), learner.cells(params, held_out)
        one = np.eye(len(held_out))
        for damping in DAMPINGS:
            each = influence(directions(cells, real, damping, one), cells, n)
            add(f"influence, damping {damping:g}", each)
            if seed == 0:
                add(f"influence, damping {damping:g}, one seed", each)
        plain = np.stack([real.gradient(j, one) for j in range(len(real.codes))], axis=1)
        add("plain product of gradients", influence(plain, cells, n))
        add("the row's own loss", np.tile(losses_of(cells), (len(held_out), 1)))
    return found


def datamodeling(learner: Learner, held_out: np.ndarray, scores: dict[str, np.ndarray]) -> dict[str, dict]:
    """Returns by method the mean score over targets, and that of their mean."""
    rng, n = np.random.default_rng(1), len(learner.codes)
    chosen, losses = np.zeros((HALVES, n)), np.zeros((SEEDS, HALVES, len(held_out)))
    for i in range(HALVES):
        rows = np.sort(rng.permutation(n)[: n // 2])
        chosen[i, rows] = 1.0
        for seed in range(SEEDS):
            losses[seed, i] = losses_of(learner.cells(learner.trained(rows, seed), held_out))

    def against(predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
        each, mean = spearman(predicted, actual), spearman(predicted.mean(1)[:, None], actual.mean(1)[:, None])
        return {"rows": round(float(each.mean()), 4), "mean": round(float(mean[0]), 4)}

    actual = losses.mean(axis=0)
    result = {name: against(chosen @ each.T, actual) for name, each in scores.items()}
    return result | {"ceiling": against(losses[0], losses[1:].mean(axis=0))}


def dropping(learner: Learner, held_out: np.ndarray, ranks: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Returns what dropping a tenth of the rows does to the held-out loss, in nats a cell: mean and standard error."""
    n = len(learner.codes)
    kept = {name: np.sort(np.argsort(-rank, kind="stable")[round(DROPPED * n) :]) for name, rank in ranks.items()}
    kept["nothing"] = np.arange(n)
    losses = {
        name: np.array(
            [losses_of(learner.cells(learner.trained(rows, 200 + s), held_out)).mean() for s in range(DROPPED_SEEDS)]
        )
        for name, rows in kept.items()
    }
    base = losses.pop("nothing")
    changes = {name: each - base for name, each in losses.items()}
    return {
        name: {"mean": round(float(x.mean()), 5), "error": round(float(x.std(ddof=1) / len(x) ** 0.5), 5)}
        for name, x in changes.items()
    }


def of_dataset(name: str) -> dict:
    """Returns both measurements on one dataset's file."""
    case = Case(name, KIND, SHARE)
    intake, observed = intake_of(name, case.make().table), observe(name, case, {})
    assert intake.reference is not None
    judge = Judge.fit(load_head(), observed.null, observed.evidence, observed.repeated, 0.0)
    row_score = judge.read(observed.evidence, observed.repeated).total
    learner = Learner(intake.candidate.codes, intake.columns.num_codes)
    real = intake.reference.codes[np.random.default_rng(0).permutation(len(intake.reference))]
    held_out, other = real[:TARGETS], real[TARGETS : TARGETS + JUDGED]
    scores = scores_of(learner, held_out)
    found = {"datamodeling": datamodeling(learner, held_out, scores)}
    chosen = ("influence, damping 1", "the row's own loss")
    ranks = {method: scores[method].mean(axis=0) for method in chosen}
    ranks |= {
        "row score": row_score,
        "wrong in truth": observed.wrong.astype(float),
        "random": np.random.default_rng(2).random(len(observed.wrong)),
    }
    # On rows that no influence was worked out for.
    return found | {"dropping": dropping(learner, other, ranks)}


def main() -> None:
    """Measures, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("outputs/influence"), help="folder of datasets that are done")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    found = {}
    with single_threaded():
        for name in DATASETS:
            path = options.work / f"{name}.json"
            if not path.exists():
                write_atomically(path, json.dumps(of_dataset(name)).encode())
            found[name] = json.loads(path.read_text(encoding="utf-8"))
            print(name, json.dumps(found[name], indent=1), flush=True)
    save("influence_scores", {"datasets": found}, "python -m benchmarks.influence_scores")


if __name__ == "__main__":
    main()
