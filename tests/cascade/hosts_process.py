"""What the tests of several processes start: joins, does one thing, writes what it saw to `<folder>/<mode>_<number>`.

VR_COORDINATOR=... python hosts_process.py MODE FOLDER
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from test_training import D, Execution, K, job, trainer

from vr.cascade import hosts
from vr.cascade.agreement import by_each, by_first, least_of_all, sent, told_by_first
from vr.cascade.config import CascadeConfig, TierConfig
from vr.cascade.keeping import kept_in
from vr.cascade.train import run_cascade
from vr.core.errors import CheckpointError, PreemptedError, VrError


class Asked(list):
    """Jobs by number, and which were asked for."""

    def __init__(self, count):
        super().__init__(range(count))
        self.asked = set()

    def __getitem__(self, index):
        self.asked.add(index)
        return job(index)


def train(members, folder=None, on_segment=lambda advance: None):
    """Returns what every member's training gave, and which members this process made."""
    made, jobs = trainer(members=members, form=Execution.stacked), Asked(members)
    with kept_in(folder, "test", 0.0) as keeper:
        found = made.run(jobs, 1, on_segment=on_segment, keeper=keeper)
    return {
        "params": np.stack([each.params for each in found]),
        "curve": np.stack([each.curve for each in found]),
        "norms": np.stack([each.gradient_norms for each in found]),
        "asked": np.array(sorted(jobs.asked)),
    }


def trained(folder):
    """Members along `model`, as far as they can be, for each number of them that the environment names."""
    for members in map(int, os.environ["TEST_MEMBERS"].split(",")):
        np.savez(folder / f"trained_{members}_{hosts.number()}.npz", **train(members))


def kept(folder):
    """Four members, kept on their way; process 1 ends at segment 6 by the signal of the environment, once."""
    told = os.environ.get("TEST_SIGNAL")
    segments = []

    def on_segment(advance):
        done = advance.segments
        # The first tells where a training begins.
        if advance.seconds is not None:
            segments.append(done)
        once = folder / "signalled"
        if told and hosts.number() == 1 and done == 6 and not once.exists():
            once.touch()
            os.kill(os.getpid(), getattr(signal, told))
            time.sleep(0.5)

    ended = "finished"
    try:
        np.savez(folder / f"kept_{hosts.number()}.npz", **train(4, folder / "kept", on_segment))
    except PreemptedError as error:
        ended = str(error)
        raise SystemExit(error.exit_code) from error
    finally:
        (folder / f"kept_{hosts.number()}.json").write_text(json.dumps({"segments": segments, "ended": ended}))


def agreed(folder):
    """Every way to agree, without training."""
    number = hosts.number()
    odd = np.array([-0.0, np.nan, 1e-45, float("inf")], np.float32)

    def failing():
        raise CheckpointError(f"no room, says {number}", where="folder", hint="make room")

    found = {
        "told": told_by_first(lambda: ["é" * 3_000, number]),
        "by_first": by_first(lambda: number),
        "least": [least_of_all(5_000_000_000 + number), least_of_all(None if number else 3)],
        "sent": sent(odd if number == 1 else np.zeros(4, np.float32), 1).tobytes().hex(),
        "bits": odd.tobytes().hex(),
    }
    for call in (by_first, told_by_first):
        try:
            call(failing)
        except CheckpointError as error:
            found.setdefault("errors", []).append(str(error))
    for failing_one in (0, 1):
        try:
            by_each(lambda one=failing_one: failing() if number == one else number)
        except VrError as error:
            found["errors"].append(str(error))
    found["by_each"] = by_each(lambda: number)
    (folder / f"agreed_{number}.json").write_text(json.dumps(found))


def cascade(folder):
    """A whole cascade of two tiers, of which process 0 has the first finished where `saved` is there."""
    rng = np.random.default_rng(0)
    reference, candidate = (
        np.stack([(each + rng.integers(0, 2, 400) * j) % K for j in range(D)], axis=1).astype(np.uint16)
        for each in rng.integers(0, K, (2, 400))
    )
    tiers = [TierConfig(name=name, seeds=2, width=8, depth=1, steps=20, batch_rows=32) for name in ("one", "two")]
    config = CascadeConfig(preset="test", tiers=tiers, compilation_cache=False)
    saved, file = {}, folder / "saved.json"
    if hosts.is_first() and file.exists():
        saved = json.loads(file.read_text())
    had = sorted(saved)
    checkpoints = folder / "checkpoints" if hosts.is_first() else None
    result = run_cascade(reference, candidate, [K] * D, config, 0, saved=saved, checkpoints=checkpoints)
    models = [[m.tier, m.seed, m.arm, m.losses, m.loss_curve["loss"]] for m in result.models]
    forms = [tier.execution for tier in result.tiers]
    document = {"models": models, "forms": forms, "had": had, "left": sorted(saved)}
    (folder / f"cascade_{hosts.number()}.json").write_text(json.dumps(document))
    if hosts.is_first():
        file.write_text(json.dumps({"one": saved["one"]}))


if __name__ == "__main__":
    hosts.join(hosts.Hosts.of(os.environ))
    assert jax.process_count() == hosts.count()
    globals()[sys.argv[1]](Path(sys.argv[2]))
