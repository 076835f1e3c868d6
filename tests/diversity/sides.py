"""Samples as the diversity functions read them, taken in as the pipeline does."""

import numpy as np
import pyarrow as pa

from vr.data.source import open_source
from vr.detector.inputs import Inputs
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in


def inputs(candidate, reference=None, seed=0):
    """Returns the inputs of two tables."""
    sources = open_source(candidate), None if reference is None else open_source(reference)
    return Inputs.of(take_in(*sources, Config(seed=seed), 1, lambda *_: None), None, None, seed, 1)


def table(rows, seed, shares=(0.5, 0.3, 0.2), spread=0.5):
    """Three clusters in two numbers, named by `group`, and two columns that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    group = rng.choice(3, rows, p=np.array(shares) / np.sum(shares))
    centres = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    points = centres[group] + spread * rng.standard_normal((rows, 2))
    return pa.table(
        {
            "x": points[:, 0],
            "y": points[:, 1],
            "group": np.array(["a", "b", "c"])[group],
            "noise": rng.standard_normal(rows),
            "kind": rng.choice(["u", "v", "w"], rows, p=[0.6, 0.3, 0.1]),
        }
    )
