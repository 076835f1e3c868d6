"""Compiled loops that are warm."""

import subprocess
import sys

_COUNT = """
import sys
import numpy as np
import pyarrow as pa
import vr
import vr.pipeline.validate
from vr.stats.loops import warm_up

def compiled():
    loops = [each for name, module in sys.modules.items() if name.startswith("vr.") for each in vars(module).values()]
    return {f"{each.py_func.__module__}.{each.__name__}": len(each.signatures)
            for each in loops if hasattr(each, "py_func")}

def table(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((400, 3))
    names = np.array(["a", "b", "c"])[rng.integers(0, 3, 400)]
    return pa.table({"x": x[:, 0], "y": x[:, 0] + x[:, 1], "z": names, "t": (x[:, 2] > 0).astype(int)})

warm_up()
before = compiled()
vr.validate(table(0), table(1), overrides=["cascade=none", "targets=[z]"], verdict_only=True)
print(sorted(name for name, count in compiled().items() if count != before.get(name)))
"""


def test_a_verdict_meets_no_loop_that_is_not_warm():
    done = subprocess.run([sys.executable, "-c", _COUNT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout
