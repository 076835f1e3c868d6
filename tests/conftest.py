"""What every test relies on: one thread for each worker, strict shapes, repeatable examples."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.database import InMemoryExampleDatabase

# Before a test imports numpy or jax: workers that each take every core are slower than workers with one.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# A broadcast between arrays of different rank is a bug until said otherwise.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# One compilation cache for all workers, in the folder that pytest may clear.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parent.parent / ".pytest_cache" / "xla")
)
# What is kept from run to run is the tests' own, not the user's.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).resolve().parent.parent / ".pytest_cache" / "user")
# Nothing that a test starts may report home.
os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
os.environ.setdefault("WANDB_MODE", "offline")

# Timings on a shared machine say nothing about the code, and an example that fails once must fail again.
settings.register_profile("vr", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None, database=InMemoryExampleDatabase(), max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "vr"))


@pytest.fixture
def key() -> Any:
    """A typed PRNG key; jax is imported by the tests that ask for one."""
    import jax

    return jax.random.key(0)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that the tests run in."""
    return Path(__file__).resolve().parent.parent
