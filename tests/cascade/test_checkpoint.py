import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from vr.cascade.checkpoint import Checkpoints
from vr.cascade.checkpoint_folder import CheckpointFolder
from vr.core.errors import CheckpointError, ConfigError

OURS = "0" * 64


class Inner(NamedTuple):
    rates: jax.Array
    nothing: tuple


def small(step: int) -> dict:
    return {"params": jnp.arange(6, dtype=jnp.float32).reshape(2, 3) + step, "step": jnp.int32(step)}


def rich() -> dict:
    """Every kind of array and node that a training state holds, with values that a careless copy would change."""
    bits = np.array([0x7FC00001, 0xFF800000, 0x80000000, 0x00000001, 0x3F800000], np.uint32)
    params = {"w": jnp.asarray(bits.view(np.float32)), "b": jnp.asarray(bits.view(np.uint16)[:5]).view(jnp.bfloat16)}
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    return {
        "params": params,
        "opt_state": optimizer.init(params),
        "nested": (Inner(jnp.float32(0.1), ()), [jnp.array([True, False]), None], np.arange(3, dtype=np.int64)),
        "counts": jnp.array([-1, 2**31 - 1], jnp.int32),
        "raw_key": jnp.array([0, 2**32 - 1], jnp.uint32),
        "key": jax.random.key(7),
        "keys": jax.random.split(jax.random.key(7, impl="rbg"), 3),
        "empty": jnp.zeros((0, 3), jnp.bfloat16),
    }


def raw(leaf) -> tuple:
    data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
    return str(leaf.dtype), leaf.shape, np.asarray(data).tobytes()


def assert_same(ours, theirs) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert raw(one) == raw(other)
        assert isinstance(one, np.ndarray) == isinstance(other, np.ndarray)


def step_folder(folder: Path, step: int) -> Path:
    return folder / f"step_{step:010d}"


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("two") / "checkpoints"
    with Checkpoints(folder, OURS) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, small(step), {"generation": step})
    return folder


@pytest.fixture
def copied(two_steps, tmp_path) -> Path:
    return shutil.copytree(two_steps, tmp_path / "checkpoints")


# What comes back.


@pytest.mark.parametrize("form", ["arrays", "shapes"])
def test_every_kind_of_array_comes_back_bit_for_bit(tmp_path, form):
    state = rich()
    with Checkpoints(tmp_path, OURS) as checkpoints:
        checkpoints.save(3, state, {"position": 17, "pair": (1, "a")})
    if form == "arrays":
        like = jax.tree.map(lambda leaf: leaf if isinstance(leaf, np.ndarray) else jnp.zeros_like(leaf), state)
    else:
        like = jax.tree.map(
            lambda leaf: leaf if isinstance(leaf, np.ndarray) else jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state
        )
    with Checkpoints(tmp_path, OURS) as checkpoints:
        restored = checkpoints.latest(like)
    assert restored is not None
    assert restored.step == 3
    assert restored.extra == {"position": 17, "pair": [1, "a"]}
    assert restored.set_aside == ()
    assert_same(restored.state, state)


def test_a_checkpoint_of_before_comes_back_bit_for_bit(tmp_path, monkeypatch):
    handler = ocp.PyTreeCheckpointHandler
    with monkeypatch.context() as before:
        # Checkpoints were OCDBT.
        before.setattr(ocp, "PyTreeCheckpointHandler", lambda **options: handler(**options | {"use_ocdbt": True}))
        with Checkpoints(tmp_path, OURS) as checkpoints:
            checkpoints.save(3, rich(), {"position": 17})
    assert any("ocdbt" in name for name in files_of(step_folder(tmp_path, 3)))
    with Checkpoints(tmp_path, OURS) as checkpoints:
        restored = checkpoints.latest(rich())
        assert restored is not None
        assert (restored.step, restored.extra, restored.set_aside) == (3, {"position": 17}, ())
        assert_same(restored.state, rich())
        # A run that goes on from it writes as now.
        checkpoints.save(4, rich())
        assert checkpoints.latest(rich()).step == 4
    assert not any("ocdbt" in name for name in files_of(step_folder(tmp_path, 4)))


def test_a_restored_optimiser_goes_on_as_if_never_interrupted(tmp_path):
    optimizer = optax.adamw(1e-2)
    params = {"w": jnp.arange(4.0)}

    @jax.jit
    def step(carry):
        params, opt_state = carry
        updates, opt_state = optimizer.update(jax.tree.map(jnp.sin, params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    carry = step((params, optimizer.init(params)))
    with Checkpoints(tmp_path, OURS) as checkpoints:
        checkpoints.save(1, carry)
        restored = checkpoints.latest(jax.eval_shape(lambda: carry))
    assert restored is not None
    assert_same(step(step(restored.state)), step(step(carry)))


def test_nothing_there_is_none(tmp_path):
    with Checkpoints(tmp_path / "new", OURS) as checkpoints:
        assert checkpoints.latest(small(0)) is None


def test_a_state_without_elements_is_a_checkpoint_too(tmp_path):
    state = {"a": jnp.zeros((0,), jnp.int32), "b": None}
    with Checkpoints(tmp_path, OURS) as checkpoints:
        checkpoints.save(0, state)
        restored = checkpoints.latest(state)
    assert restored is not None
    assert_same(restored.state, state)


def test_a_relative_folder_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Checkpoints(Path("here"), OURS) as checkpoints:
        checkpoints.save(1, small(1))
        assert checkpoints.latest(small(0)).step == 1


def test_the_state_may_be_overwritten_as_soon_as_save_returns(tmp_path):
    size = 4_000_000
    host, device = np.full(size, 1.0, np.float32), jnp.full(size, 2.0)
    overwrite = jax.jit(lambda array: array * 0 - 7, donate_argnums=0)
    with Checkpoints(tmp_path, OURS) as checkpoints:
        checkpoints.save(1, {"host": host, "device": device})
        host[:] = -7
        overwritten = overwrite(device).block_until_ready()
        assert float(overwritten[0]) == -7
        like = {"host": host, "device": jax.ShapeDtypeStruct((size,), jnp.float32)}
        restored = checkpoints.latest(like)
    assert (restored.state["host"] == 1).all()
    assert (np.asarray(restored.state["device"]) == 2).all()


def test_save_returns_before_the_step_is_written(tmp_path, monkeypatch):
    go_on = threading.Event()
    commit = CheckpointFolder.commit
    monkeypatch.setattr(CheckpointFolder, "commit", lambda *args: go_on.wait(30) and commit(*args))
    with Checkpoints(tmp_path, OURS) as checkpoints:
        checkpoints.save(1, small(1))
        assert not step_folder(tmp_path, 1).exists()
        go_on.set()
        checkpoints.wait()
        assert step_folder(tmp_path, 1).exists()


SHARDED = """
import sys
from pathlib import Path
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P, SingleDeviceSharding
from vr.cascade.checkpoint import Checkpoints

assert jax.device_count() == 8
devices = np.array(jax.devices())
line, grid = Mesh(devices, ("x",)), Mesh(devices.reshape(4, 2), ("x", "y"))
values = np.arange(16 * 8, dtype=np.float32).reshape(16, 8)
w = jax.device_put(jnp.asarray(values), NamedSharding(line, P("x")))
b = jax.device_put(jnp.asarray(values[0]).astype(jnp.bfloat16), NamedSharding(line, P()))
keys = jax.device_put(jax.random.split(jax.random.key(3), 8), NamedSharding(line, P("x")))
state = {"w": w, "b": b, "keys": keys}

def like(*shardings):
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        state, dict(zip(("w", "b", "keys"), shardings)))

asked = [
    (NamedSharding(grid, P("y", "x")), NamedSharding(grid, P(("x", "y"))), NamedSharding(grid, P("y"))),
    (NamedSharding(Mesh(devices[:2], ("x",)), P(None, "x")),) + (NamedSharding(Mesh(devices[:2], ("x",)), P("x")),) * 2,
    (SingleDeviceSharding(devices[5]),) * 3,
]
with Checkpoints(Path(sys.argv[1]), "0" * 64) as checkpoints:
    checkpoints.save(1, state)
    for shardings in asked:
        restored = checkpoints.latest(like(*shardings)).state
        for name, sharding in zip(("w", "b", "keys"), shardings):
            assert restored[name].sharding.is_equivalent_to(sharding, restored[name].ndim), (name, sharding)
        np.testing.assert_array_equal(np.asarray(restored["w"]), values)
        assert np.asarray(restored["b"]).tobytes() == np.asarray(b).tobytes()
        np.testing.assert_array_equal(jax.random.key_data(restored["keys"]), jax.random.key_data(keys))
print("shardings", len(asked))
"""


def test_eight_devices_restore_onto_other_shardings_and_one_device_onto_itself(tmp_path, repository):
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(repository),
    }
    done = subprocess.run(
        [sys.executable, "-c", SHARDED, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "shardings 3"
    assert jax.device_count() == 1
    like = {
        "w": jax.ShapeDtypeStruct((16, 8), jnp.float32),
        "b": jnp.zeros(8, jnp.bfloat16),
        "keys": jax.random.split(jax.random.key(0), 8),
    }
    with Checkpoints(tmp_path, OURS) as checkpoints:
        restored = checkpoints.latest(like).state
    np.testing.assert_array_equal(np.asarray(restored["w"]), np.arange(128, dtype=np.float32).reshape(16, 8))
    assert raw(restored["keys"]) == raw(jax.random.split(jax.random.key(3), 8))


# What does not come back: damage.


def flip(path: Path, rng: random.Random, offset: int | None = None) -> None:
    content = bytearray(path.read_bytes())
    place = rng.randrange(len(content)) if offset is None else offset
    content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def relink(path: Path) -> None:
    moved = path.parents[len(path.parts) - 1 - path.parts.index("checkpoints")].parent / "moved"
    path.rename(moved)
    path.symlink_to(moved)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = {
    "first bit": lambda path, rng: flip(path, rng, 0),
    "last bit": lambda path, rng: flip(path, rng, -1),
    "any bit": flip,
    "another bit": flip,
    "one byte short": lambda path, rng: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path, rng: os.truncate(path, 0),
    "one byte long": lambda path, rng: path.write_bytes(path.read_bytes() + b"\0"),
    "zeros": lambda path, rng: path.write_bytes(bytes(path.stat().st_size)),
    "missing": lambda path, rng: path.unlink(),
    "a link": lambda path, rng: relink(path),
    "a folder": lambda path, rng: make_folder(path),
    "a pipe": lambda path, rng: make_pipe(path),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_is_found_named_and_stepped_over(two_steps, tmp_path, damage):
    names = files_of(step_folder(two_steps, 2))
    assert "manifest.json" in names
    assert len(names) > 8
    found = []
    for number, name in enumerate(names):
        folder = shutil.copytree(two_steps, tmp_path / str(number) / "checkpoints")
        DAMAGES[damage](step_folder(folder, 2) / name, random.Random(number))
        opened = CheckpointFolder(folder, OURS)
        newest = opened.newest()
        assert newest is not None
        assert newest.step == 1, name
        (aside,) = opened.set_aside
        assert aside.step == 2
        assert Path(name).name in aside.reason or "manifest" in aside.reason
        if damage in ("one byte short", "empty", "one byte long") and name != "manifest.json":
            assert f"{name} has " in aside.reason
        assert aside.path == folder / "set_aside" / "step_0000000002.1"
        assert os.path.lexists(aside.path / name) == (damage != "missing")
        assert opened.steps() == [1]
        found.append(name)
    assert found == names


def test_an_undamaged_copy_verifies(copied):
    opened = CheckpointFolder(copied, OURS)
    newest = opened.newest()
    assert newest is not None
    assert newest.step == 2
    assert opened.set_aside == []


def test_every_byte_of_the_manifest_counts(copied):
    path = step_folder(copied, 2) / "manifest.json"
    whole, rng = path.read_bytes(), random.Random(0)
    silent = []
    # With one step there is none to fall back to: None says that the damage was found.
    shutil.rmtree(step_folder(copied, 1))
    for offset in range(0, len(whole), 7):
        flip(path, rng, offset)
        opened = CheckpointFolder(copied, OURS)
        if opened.newest() is not None:
            silent.append(offset)
        else:
            opened.set_aside[0].path.rename(step_folder(copied, 2))
        path.write_bytes(whole)
    assert silent == []
    assert CheckpointFolder(copied, OURS).newest() is not None


def empty_step(folder: Path) -> None:
    step_folder(folder, 3).mkdir()


def step_without_manifest(folder: Path) -> None:
    shutil.copytree(step_folder(folder, 2), step_folder(folder, 3))
    (step_folder(folder, 3) / "manifest.json").unlink()


def step_of_another_number(folder: Path) -> None:
    shutil.copytree(step_folder(folder, 2), step_folder(folder, 3))


def step_that_is_a_link(folder: Path) -> None:
    step_folder(folder, 3).symlink_to(step_folder(folder, 2))


def step_that_leads_nowhere(folder: Path) -> None:
    step_folder(folder, 3).symlink_to(folder / "nowhere")


def step_that_is_a_file(folder: Path) -> None:
    step_folder(folder, 3).write_text("3")


def step_with_another_file(folder: Path) -> None:
    (step_folder(folder, 2) / "arrays" / "more").write_text("")


def step_with_a_linked_folder(folder: Path) -> None:
    (step_folder(folder, 2) / "arrays").rename(folder / "elsewhere")
    (step_folder(folder, 2) / "arrays").symlink_to(folder / "elsewhere")


def step_with_two_manifests_swapped(folder: Path) -> None:
    shutil.copy(step_folder(folder, 1) / "manifest.json", step_folder(folder, 2))


@pytest.mark.parametrize(
    ("plant", "reason"),
    [
        (empty_step, "no manifest"),
        (step_without_manifest, "no manifest"),
        (step_of_another_number, "manifest is that of step 2"),
        (step_that_is_a_link, "symbolic link"),
        (step_that_leads_nowhere, "symbolic link"),
        (step_that_is_a_file, "not a folder"),
        (step_with_another_file, "not in its manifest"),
        (step_with_a_linked_folder, "arrays' is a link"),
        (step_with_two_manifests_swapped, "manifest is that of step 1"),
    ],
)
def test_a_false_newest_step_is_set_aside_with_its_reason(copied, caplog, plant, reason):
    plant(copied)
    false = CheckpointFolder(copied, OURS).steps()[0]
    with Checkpoints(copied, OURS) as checkpoints, caplog.at_level(logging.WARNING):
        restored = checkpoints.latest(small(0))
        assert restored is not None
        assert restored.step == false - 1
        assert_same(restored.state, small(restored.step))
        assert restored.extra == {"generation": restored.step}
        (aside,) = restored.set_aside
        assert aside.step == false
        assert reason in aside.reason
        assert os.path.lexists(aside.path)
        (record,) = caplog.records
        assert f"step {false} does not verify" in record.getMessage()
        assert reason in record.getMessage()
        # Said once, and out of the way of the step that is to come.
        assert checkpoints.latest(small(0)).set_aside == (aside,)
        checkpoints.save(false, small(false))
        assert checkpoints.latest(small(0)).step == false


def test_what_a_link_pointed_to_is_left_alone(copied):
    step_that_is_a_link(copied)
    CheckpointFolder(copied, OURS).newest()
    assert CheckpointFolder(copied, OURS).newest().step == 2


def test_where_nothing_verifies_there_is_nothing_and_it_is_named(copied):
    for step in (1, 2):
        flip(step_folder(copied, step) / "manifest.json", random.Random(0), 40)
    with Checkpoints(copied, OURS) as checkpoints:
        assert checkpoints.latest(small(0)) is None
        assert [aside.step for aside in checkpoints.set_aside] == [2, 1]


def test_a_step_is_set_aside_beside_an_earlier_one_of_its_number(copied):
    for number in (1, 2, 3):
        empty_step(copied)
        (aside,) = (opened := CheckpointFolder(copied, OURS), opened.newest(), opened.set_aside)[2]
        assert aside.path.name == f"step_0000000003.{number}"


def test_other_names_are_left_alone(copied):
    for name in ("7", "step_3", "step_00000000003", "step_x", "tmp"):
        (copied / name).mkdir()
    opened = CheckpointFolder(copied, OURS)
    assert opened.steps() == [2, 1]
    assert opened.newest().step == 2
    assert (copied / "7").is_dir()


def test_checkpoints_of_another_run_are_refused_and_left_alone(copied):
    before = files_of(copied)
    with pytest.raises(ConfigError, match="another configuration"):
        Checkpoints(copied, "1" * 64)
    assert files_of(copied) == before
    assert CheckpointFolder(copied, OURS).newest().step == 2


def test_an_unknown_format_is_no_damage(copied, monkeypatch):
    monkeypatch.setattr("vr.cascade.checkpoint_folder.FORMAT", 2)
    with pytest.raises(CheckpointError, match="has format 1, where this version of vr reads 2"):
        Checkpoints(copied, OURS)
    assert step_folder(copied, 2).is_dir()


def test_leftovers_of_an_interrupted_save_are_removed(copied, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("")
    growing = CheckpointFolder(copied, OURS).begin(3)
    (growing / "arrays").write_text("half")
    (growing / "link").symlink_to(precious)
    opened = CheckpointFolder(copied, OURS)
    assert opened.newest().step == 2
    assert os.listdir(copied / "unfinished") == []
    (copied / "unfinished").rmdir()
    (copied / "unfinished").symlink_to(precious)
    assert CheckpointFolder(copied, OURS).newest().step == 2
    assert files_of(precious) == ["file"]


# What is asked for wrongly.


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"params": jnp.zeros((3, 2)), "step": jnp.int32(0)}, r"float32\[2, 3\].*float32\[3, 2\]"),
        ({"params": jnp.zeros((2, 3), jnp.bfloat16), "step": jnp.int32(0)}, r"float32\[2, 3\].*bfloat16"),
        ({"params": jnp.zeros((2, 3)), "count": jnp.int32(0)}, r"\['params'\].*\['count'\]"),
        ({"params": jnp.zeros((2, 3))}, r"\['step'\] int32\[\] where nothing"),
        ({"params": jnp.zeros((2, 3)), "step": jnp.int32(0), "z": jnp.int32(0)}, r"nothing where state\['z'\]"),
    ],
)
def test_another_state_than_was_saved_is_refused_and_not_set_aside(copied, like, message):
    with Checkpoints(copied, OURS) as checkpoints:
        with pytest.raises(CheckpointError, match=message):
            checkpoints.latest(like)
        assert checkpoints.set_aside == ()
        assert checkpoints.latest(small(0)).step == 2


def test_keys_of_another_generator_are_refused(tmp_path):
    with Checkpoints(tmp_path, OURS) as checkpoints:
        checkpoints.save(1, [jax.random.key(0)])
        with pytest.raises(CheckpointError, match=r"key<fry>\[\] where .* key<rbg>"):
            checkpoints.latest([jax.random.key(0, impl="rbg")])


def test_64_bits_never_come_back_as_32(tmp_path):
    wide = np.array([2**40])
    with Checkpoints(tmp_path, OURS) as checkpoints:
        checkpoints.save(1, [wide])
        assert_same(checkpoints.latest([np.zeros(1, np.int64)]).state, [wide])
        with pytest.raises(CheckpointError, match="int32"):
            checkpoints.latest([jax.ShapeDtypeStruct((1,), np.int64)])


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, np.int32(3), b"x"])
def test_extra_is_json_or_refused_at_once(tmp_path, value):
    with Checkpoints(tmp_path, OURS) as checkpoints:
        with pytest.raises(CheckpointError, match="extra: cannot be saved as JSON"):
            checkpoints.save(1, small(1), {"value": value})
        assert checkpoints.latest(small(0)) is None


def test_what_is_no_array_is_named(tmp_path):
    with Checkpoints(tmp_path, OURS) as checkpoints, pytest.raises(CheckpointError, match=r"state\['lr'\].*type float"):
        checkpoints.save(1, {"lr": 0.1})


@pytest.mark.parametrize("step", [2, 1, -1])
def test_a_step_must_be_above_all_others(copied, step):
    with Checkpoints(copied, OURS) as checkpoints:
        with pytest.raises(CheckpointError, match="above step 2"):
            checkpoints.save(step, small(step))
        assert checkpoints.latest(small(0)).step == 2


def test_what_cannot_be_a_folder_of_checkpoints_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="give another folder"):
            Checkpoints(path, OURS)
    with pytest.raises(ConfigError, match="keep: is 0"):
        Checkpoints(tmp_path / "folder", OURS, keep=0)


# What is kept.


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(tmp_path, keep):
    folder = tmp_path / "checkpoints"
    with Checkpoints(folder, OURS, keep) as checkpoints:
        for step in range(1, 5):
            checkpoints.save(step, small(step))
    assert CheckpointFolder(folder, OURS).steps() == list(range(4, 4 - keep, -1))
    assert sorted(os.listdir(folder)) == [*(f"step_{step:010d}" for step in range(5 - keep, 5)), "unfinished"]


def test_a_damaged_step_does_not_count_as_kept(copied):
    files = (path for path in (step_folder(copied, 2) / "arrays").rglob("*") if path.is_file())
    flip(max(files, key=lambda path: path.stat().st_size), random.Random(0))
    with Checkpoints(copied, OURS, keep=2) as checkpoints:
        checkpoints.save(3, small(3))
        checkpoints.wait()
        assert [aside.step for aside in checkpoints.set_aside] == [2]
    assert CheckpointFolder(copied, OURS).steps() == [3, 1]


def test_nothing_is_removed_before_a_newer_step_is_complete(copied, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    with Checkpoints(copied, OURS, keep=1) as checkpoints:
        with monkeypatch.context() as broken:
            broken.setattr(CheckpointFolder, "commit", fail)
            checkpoints.save(3, small(3))
            with pytest.raises(CheckpointError):
                checkpoints.wait()
        assert CheckpointFolder(copied, OURS).steps() == [2, 1]
        checkpoints.save(3, small(3))
    assert CheckpointFolder(copied, OURS).steps() == [3]


# What goes wrong while saving.


def test_an_error_in_the_background_surfaces_once_at_the_next_call(copied, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    calls = {
        "wait": lambda checkpoints: checkpoints.wait(),
        "save": lambda checkpoints: checkpoints.save(9, small(9)),
        "latest": lambda checkpoints: checkpoints.latest(small(0)),
        "close": lambda checkpoints: checkpoints.close(),
    }
    for call in calls.values():
        checkpoints = Checkpoints(copied, OURS)
        with monkeypatch.context() as broken:
            broken.setattr(CheckpointFolder, "commit", fail)
            checkpoints.save(3, small(3))
            with pytest.raises(CheckpointError, match=r"step 3 cannot be saved \(Input/output error\)") as caught:
                call(checkpoints)
        assert str(copied) in str(caught.value)
        checkpoints.close()
        assert os.listdir(copied / "unfinished") == []
        assert CheckpointFolder(copied, OURS).newest().step == 2


@pytest.mark.parametrize(("fails", "error"), [(True, KeyError), (False, CheckpointError)])
def test_an_error_of_the_block_is_not_hidden_by_one_of_the_save(copied, monkeypatch, caplog, fails, error):
    def save_and_end(*_):
        with Checkpoints(copied, OURS) as checkpoints:
            checkpoints.save(3, small(3))
            if fails:
                raise KeyError("the block")

    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(CheckpointFolder, "commit", fail)
    with pytest.raises(error):
        save_and_end()
    assert ("step 3 cannot be saved" in caplog.text) == fails


def attempt(checkpoints: Checkpoints, state: dict) -> str | None:
    """Saves step 3; returns what the error says, None where there is none."""
    try:
        checkpoints.save(3, state)
        checkpoints.wait()
    except CheckpointError as err:
        return str(err)
    return None


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failing_disk_at_any_moment_costs_one_step_and_never_an_earlier_one(copied, monkeypatch, call):
    real, outcomes = getattr(os, call), []
    for moment in range(40):
        shutil.rmtree(step_folder(copied, 3), ignore_errors=True)
        calls = iter(range(1_000))

        def failing(*args, calls=calls, moment=moment):
            if next(calls) == moment:
                raise OSError(28, "No space left on device")
            return real(*args)

        checkpoints = Checkpoints(copied, OURS, keep=3)
        with monkeypatch.context() as broken:
            broken.setattr(os, call, failing)
            outcomes.append(attempt(checkpoints, small(3)))
        restored = checkpoints.latest(small(0))
        checkpoints.close()
        assert restored.set_aside == ()
        assert restored.step in (2, 3)
        assert_same(restored.state, small(restored.step))
        if outcomes[-1] is None:
            assert restored.step == 3
            break
    # One for each moment, until none is left that could fail.
    assert all("make room there" in outcome for outcome in outcomes[:-1])
    assert outcomes[-1] is None
    assert len(outcomes) > (10 if call == "fsync" else 1)


@contextmanager
def tiny_disk(path: Path, size: str):
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"no tmpfs may be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def noise(step: int, size: int) -> dict:
    return {"noise": np.random.default_rng(step).integers(0, 2**32, size, dtype=np.uint32)}


@pytest.mark.skipif(shutil.which("mount") is None, reason="no tmpfs can be mounted here")
def test_a_full_disk_costs_nothing_that_was_saved_and_passes_when_there_is_room(tmp_path, caplog):
    disk, size = tmp_path / "disk", 500_000  # 2 MB a step
    with tiny_disk(disk, "8m"):
        folder, ballast = disk / "checkpoints", disk / "ballast"
        with Checkpoints(folder, OURS, keep=2) as checkpoints:
            for step in (1, 2):
                checkpoints.save(step, noise(step, size))
            checkpoints.wait()
            for left in (0, 20_000, 500_000, 1_500_000, 1_990_000):
                with ballast.open("wb") as file:
                    status = os.statvfs(disk)
                    os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - left)
                said = attempt(checkpoints, noise(3, size))
                assert said is not None, left
                assert said.startswith(f"{folder}: step 3 cannot be saved (No space left on device)")
                assert "make room there, or give another folder; earlier checkpoints are as they were" in said
                restored = checkpoints.latest(noise(0, size))
                assert restored.step == 2
                assert restored.set_aside == ()
                assert_same(restored.state, noise(2, size))
                assert CheckpointFolder(folder, OURS).steps() == [2, 1]
                ballast.unlink()
            assert attempt(checkpoints, noise(3, size)) is None
            assert checkpoints.latest(noise(0, size)).step == 3
    # The error is raised; no traceback of another library is logged beside it.
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


# A process that has imported everything makes the ones that are killed, since to import takes longer than all the rest.
KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from vr.cascade.checkpoint import Checkpoints

def save_for_ever(folder, said):
    log = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with Checkpoints(Path(folder), "0" * 64) as checkpoints:
        restored = checkpoints.latest({"noise": np.zeros(200_000, np.uint32)})
        step = 0 if restored is None else restored.step
        os.write(log, b"%d\\n" % step)
        while True:
            step += 1
            state = {"noise": np.random.default_rng(step).integers(0, 2**32, 200_000, dtype=np.uint32)}
            checkpoints.save(step, state, {"step": step})
            checkpoints.wait()
            os.write(log, b"%d\\n" % step)

print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        save_for_ever(*line.split())
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def test_a_kill_at_any_moment_leaves_the_last_saved_step(tmp_path, repository):
    folder, said, rng = tmp_path / "checkpoints", tmp_path / "said", random.Random(0)
    environment = os.environ | {"PYTHONPATH": str(repository), "JAX_PLATFORMS": "cpu"}
    command, pipe = [sys.executable, "-W", "ignore", "-c", KILLED], subprocess.PIPE
    interrupted, restored = 0, None
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as parent:
        assert parent.stdout.readline() == "ready\n"
        for _ in range(12):
            said.write_text("")
            print(folder, said, file=parent.stdin, flush=True)
            child = int(parent.stdout.readline())
            while not said.read_text():
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 0.6))
            os.kill(child, signal.SIGKILL)
            assert parent.stdout.readline() == "dead\n"
            last_said = int(said.read_text().split()[-1])
            interrupted += bool(os.listdir(folder / "unfinished"))
            with Checkpoints(folder, OURS) as checkpoints:
                assert os.listdir(folder / "unfinished") == []
                restored = checkpoints.latest(noise(0, 200_000))
            if restored is None:
                assert last_said == 0
                continue
            # A step that is listed may not have been said yet.
            assert restored.step in (last_said, last_said + 1)
            assert restored.set_aside == ()
            assert restored.extra == {"step": restored.step}
            assert_same(restored.state, noise(restored.step, 200_000))
        parent.stdin.close()
    assert restored is not None
    assert restored.step > 5
    # A kill between two saves says nothing.
    assert interrupted >= 4


def test_only_this_module_loads_orbax(repository):
    code = "import sys, vr.cli, vr.pipeline.validate; print('orbax' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_manifest_says_what_is_there(two_steps):
    manifest = json.loads((step_folder(two_steps, 2) / "manifest.json").read_text())["manifest"]
    assert (manifest["format"], manifest["step"], manifest["identity"]) == (1, 2, OURS)
    assert manifest["content"]["extra"] == {"generation": 2}
    assert manifest["content"]["arrays"][0] == {"path": "['params']", "shape": [2, 3], "dtype": "float32"}
    assert sorted([*manifest["files"], "manifest.json"]) == files_of(step_folder(two_steps, 2))
