"""Does training on the device give what it gives on the processor, and what do TF32 and bfloat16 change?

    python -m benchmarks.accelerator.agreement --output FOLDER

One member of each network, the same weights, rows and hidden cells, trained for some steps on the processor in float32
and on the device: in float32 at full precision, in float32 as JAX takes it by default (TF32 products), and with
bfloat16 inside, each network in the form that it has there. Reported are the held-out losses and gradient norms against
the processor's, and the distance of the weights relative to how far training moved them. Needs a process that sees
both: JAX_PLATFORMS=cuda,cpu.
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.device import Part, facts
from benchmarks.accelerator.tables import codes_of, jobs_of, model_of
from vr.cascade.config import Network, preset
from vr.cascade.step import TrainSettings, advance
from vr.models.build import Model

_SEGMENTS = 4
_STEPS = 400  # of the training whose first segments are compared
_WAYS = (("highest", None), ("default", None), ("default", "bfloat16"))


def main() -> None:
    """Compares and writes agreement.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--width", type=int, default=12, help="columns of the table")
    args = parser.parse_args()
    part = Part(args.output, "agreement")
    part.add(**facts())
    processor, device = jax.devices("cpu")[0], jax.devices()[0]
    codes = codes_of(20_000, args.width, 16)
    for network in Network:
        with part.guarded(network.name):
            part.add(**{network.name: compared(network, codes, processor, device)})


def compared(network: Network, codes: np.ndarray, processor: Any, device: Any) -> dict[str, Any]:
    """Returns each way's distance from the processor's float32."""
    config = preset("laptop")
    config.network = network
    tier = config.tiers[1]
    settings = TrainSettings(_STEPS, tier.batch_rows)
    exact_model = model_of(config, tier, codes, jnp.float32)
    job = jobs_of(exact_model, codes, settings, tier.learning_rate, 1)[0]
    exact = trained(exact_model, job, settings, processor, "highest")
    moved = np.linalg.norm(exact["params"] - job.start.params)
    steps = _SEGMENTS * settings.segment_steps
    found: dict[str, Any] = {"parameters": exact_model.parameters, "steps": steps, "processor_loss": exact["losses"]}
    for precision, inner in _WAYS:
        model = model_of(config, tier, codes, jnp.bfloat16 if inner else jnp.float32, channels_first=True)
        other = trained(model, job, settings, device, precision)
        found[inner or f"float32_{precision}"] = {
            "loss": other["losses"],
            "largest_loss_difference": float(np.max(np.abs(np.subtract(other["losses"], exact["losses"])))),
            "first_gradient_norm_relative_difference": float(abs(other["norms"][0] / exact["norms"][0] - 1)),
            "weights_distance_of_movement": float(np.linalg.norm(other["params"] - exact["params"]) / moved),
        }
    return found


def trained(model: Model, job: Any, settings: TrainSettings, device: Any, precision: str) -> dict[str, Any]:
    """Returns weights, held-out losses and gradient norms after the first segments on one device."""
    with jax.default_matmul_precision(precision), jax.default_device(device):
        step = jax.jit(lambda state, data, drawn: advance(model, settings, state, data, drawn))
        state, data = jax.device_put((job.start, job.data), device)
        losses, norms = [], []
        for number in range(_SEGMENTS):
            state, reading = step(state, data, jax.device_put(job.segment(number), device))
            losses.append(round(float(reading.loss), 6))
            norms += np.asarray(reading.gradient_norms).tolist()
    return {"params": np.asarray(state.params), "losses": losses, "norms": norms}


if __name__ == "__main__":
    main()
