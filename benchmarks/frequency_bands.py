"""Do heads with frequency bands of their own help the resonance network, at equal parameters?

    python -m benchmarks.frequency_bands [--seeds 4]

The gate as it is multiplies each frequency of each channel by a number of its own. Two forms with heads, groups of
channels, stand beside it. `owned`: the frequencies are cut into bands, and each head sees its band alone. `mixed`,
which is `cascade.heads=4`: beside the gate, each head mixes its channels within each band by a complex matrix. Widths
are those that bring a form nearest to the plain network's parameters, entries that a mask leaves without use not
counted.

On four datasets at the size of the laptop's second tier, two arms of real rows a seed: the log of the held-out loss
over the plain network's, seed by seed, with Student's interval over seeds, and over datasets. About five processor
minutes. A dataset's losses are kept in outputs/frequency_bands/ and not trained again. Writes
results/frequency_bands.json.
"""

import argparse
import functools
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.collapse.protocol import student_interval
from benchmarks.datasets import load
from benchmarks.measure import save
from vr.cascade.config import CascadeConfig, Execution, Network, TierConfig
from vr.cascade.members import shares
from vr.cascade.tier import Tier
from vr.data.source import open_source
from vr.models import build, dft
from vr.models.resonance import Resonance, ResonanceBlock, bands_of
from vr.models.table import Draw
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in
from vr.pipeline.report import write_atomically

DATASETS = ("gpa2", "crime1", "injury", "ImageSegments")
WORK = Path("outputs/frequency_bands")
ROWS = 3_000  # of each of reference and candidate, at most
HEADS = 4
WIDTH, DEPTH, STEPS = 32, 2, 400
FORMS = ("plain", "owned", "mixed")
_VERSION = 1  # of what a dataset's file holds


class OwnedBlock(ResonanceBlock):
    """A head's channels see the frequencies of its band alone."""

    def spectrum(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the gated spectrum, zero outside a head's band."""
        real, imag = super().spectrum(x)
        bands = bands_of(x.shape[0])
        heads = np.arange(x.shape[-1]) * (bands[-1] + 1) // x.shape[-1]
        seen = jnp.asarray(bands[:, None, None] == heads[None, None, :], jnp.float32)
        return real * seen, imag * seen


class Owned(Resonance):
    """The resonance network of such blocks."""

    def __init__(self, d: int, k: int, channels: int, depth: int, *, draw: Draw, remat: bool = False):
        super().__init__(d, k, channels, depth, draw=draw, remat=remat)
        self.blocks = nnx.List([OwnedBlock(d, channels, draw=draw) for _ in range(depth)])


def used_parameters(form: str, d: int, k: int, channels: int) -> int:
    """Returns how many parameters a form uses at this width."""
    if form == "mixed":
        return build.resonance_parameters(d, k, channels, DEPTH, HEADS)
    plain, frequencies = build.resonance_parameters(d, k, channels, DEPTH), dft.num_frequencies(d)
    unused = 2 * channels * frequencies * bands_of(d)[-1] // (bands_of(d)[-1] + 1)
    return plain - (DEPTH * unused if form == "owned" else 0)


def model_of(form: str, d: int, k: int) -> tuple[build.Model, int]:
    """Returns a form's network and how many parameters of it are in use."""
    wanted = build.resonance_parameters(d, k, WIDTH, DEPTH)
    width = min(range(HEADS, 2 * WIDTH, HEADS), key=lambda c: abs(used_parameters(form, d, k, c) - wanted))
    used = int(used_parameters(form, d, k, width))
    if form == "owned":
        make = functools.partial(Owned, d, k, width, DEPTH)
        return build._cut(make, False, build.resonance_parameters(d, k, width, DEPTH), width), used
    return build.resonance(d, k, width, DEPTH, heads=HEADS if form == "mixed" else 0), used


def losses_of(name: str, num_seeds: int) -> dict[str, dict[str, Any]]:
    """Returns each form's parameters in use and its losses by seed: the final one and the curve's lowest."""
    table = load(name)
    order = np.random.default_rng(0).permutation(table.num_rows)
    half = min(ROWS, table.num_rows // 2)
    reference, candidate = table.take(order[:half]), table.take(order[half : 2 * half])
    taken = take_in(open_source(candidate), open_source(reference), Config(), 1, lambda *step: None)
    assert taken.reference is not None
    sizes = taken.columns.num_codes
    tier = TierConfig(name="tier_2", seeds=num_seeds, width=WIDTH, depth=DEPTH, steps=STEPS)
    config = CascadeConfig(network=Network.resonance, tiers=[tier], threads=1, execution=Execution.looped)
    share = shares(half, half, config)
    found = {}
    for form in FORMS:
        model, used = model_of(form, len(sizes), int(sizes.max()))
        with ThreadPoolExecutor(1) as pool:
            trained = Tier(tier, model, sizes, share, taken.reference.codes, config, 0, pool)
            models = trained.run(taken.candidate.codes, lambda text: None)["models"]
        final, best = np.zeros((2, num_seeds))
        for each in models:
            final[each["seed"]] += each["loss"] / 2
            best[each["seed"]] += min(each["loss_curve"]["loss"]) / 2
        found[form] = {"parameters": used, "width": model.width, "final": final.tolist(), "best": best.tolist()}
        print(name, form, used, model.width, final.mean().round(4), best.mean().round(4), flush=True)
    return found


def kept_losses_of(name: str, num_seeds: int) -> dict[str, dict[str, Any]]:
    """Returns a dataset's losses, from its file where there is one; its name changes with what they depend on."""
    what = (_VERSION, num_seeds, ROWS, HEADS, WIDTH, DEPTH, STEPS, FORMS)
    path = WORK / f"{name}-{hashlib.sha256(repr(what).encode()).hexdigest()[:12]}.json"
    if not path.exists():
        write_atomically(path, json.dumps(losses_of(name, num_seeds)).encode())
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    """Trains, compares and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    args = parser.parse_args()
    losses = {name: kept_losses_of(name, args.seeds) for name in DATASETS}
    rows = []
    for form in FORMS[1:]:
        for followed in ("final", "best"):
            ratios = {
                name: np.log(np.divide(found[form][followed], found["plain"][followed]))
                for name, found in losses.items()
            }
            rows.append(
                {
                    "form": form,
                    "followed": followed,
                    "all": student_interval(np.array([ratio.mean() for ratio in ratios.values()])),
                    "by_dataset": {name: student_interval(ratio) for name, ratio in ratios.items()},
                }
            )
            print(rows[-1])
    save("frequency_bands", {"log_ratio_to_plain": rows, "losses": losses}, "python -m benchmarks.frequency_bands")


if __name__ == "__main__":
    main()
