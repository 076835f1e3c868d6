"""The house as DESIGN draws it: imports point one way, and heavy libraries stay where they belong."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parent.parent

# A room may import rooms of its own floor or of a lower one; rooms of one floor must not import each other in a circle.
FLOORS = (
    ("core",),
    ("stats", "models"),
    ("data", "cascade"),
    ("detector", "diversity", "signatures", "localization", "recommendation"),
    ("pipeline",),
    ("telemetry",),
    ("doors",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Modules at the top of the package and the two servers are the doors.
DOORS = {"__init__", "__main__", "cli", "client", "config", "doctor", "server", "session", "worker"}
FORBIDDEN_EVERYWHERE = {"pickle", "cloudpickle", "dill", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def modules(package: str) -> list[Path]:
    return sorted(path for path in (ROOT / package).rglob("*.py") if "_generated" not in path.parts)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yields every module imported anywhere in a file, inside functions too; type-checking imports included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def room(module: str) -> str | None:
    """Returns the room of a dotted vr module, `doors` for those at the top, None for what is not vr's."""
    parts = module.split(".")
    if parts[0] != "vr":
        return None
    if len(parts) == 1 or parts[1] in DOORS or parts[1] not in FLOOR:
        return "doors"
    return parts[1]


def offences(package: str, wrong) -> list[str]:
    """Returns `file:line imports what` wherever `wrong(importing module, imported module)` holds."""
    return [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for path in modules(package)
        for target, line in imports(path)
        if wrong(name_of(path), target)
    ]


def test_rooms_import_downwards_only():
    def wrong(source: str, target: str) -> bool:
        inner = room(target)
        return inner is not None and FLOOR[inner] > FLOOR[room(source) or "doors"]

    assert offences("vr", wrong) == []


def test_no_two_rooms_import_each_other():
    edges: dict[str, set[str]] = {}
    for path in modules("vr"):
        here = room(name_of(path))
        for target, _ in imports(path):
            there = room(target)
            if there is not None and there != here:
                edges.setdefault(here, set()).add(there)
    reached = {start: set(ends) for start, ends in edges.items()}
    for _ in FLOOR:
        for ends in reached.values():
            ends |= {far for near in list(ends) for far in reached.get(near, ())}
    assert [start for start, ends in reached.items() if start in ends] == []


def test_every_room_has_a_floor():
    rooms = {path.name for path in (ROOT / "vr").iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms - set(FLOOR) - DOORS == set()


def test_every_folder_of_modules_is_a_package():
    folders = {path.parent for path in modules("vr") + modules("synthetic")}
    assert [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_only_the_ladder_and_the_forecast_import_synthetic():
    generating = {"vr.detector.ladder", "vr.detector.forecast"}
    assert offences("vr", lambda source, target: target.split(".")[0] == "synthetic" and source not in generating) == []


def test_nothing_in_vr_imports_what_is_not_shipped():
    assert (
        offences("vr", lambda _, target: target.split(".")[0] in {"experiments", "benchmarks", "tests", "scripts"})
        == []
    )


def test_synthetic_stands_alone():
    assert offences("synthetic", lambda _, target: target.split(".")[0] in {"vr", "experiments", "benchmarks"}) == []


def test_only_the_doors_know_hydra():
    def wrong(source: str, target: str) -> bool:
        return target.split(".")[0] in {"hydra", "omegaconf"} and room(source) != "doors"

    assert offences("vr", wrong) == []


def test_only_servers_and_client_know_protobuf():
    def wrong(source: str, target: str) -> bool:
        is_wire = target.split(".")[0] == "grpc" or target.startswith("google.protobuf")
        return is_wire and source.split(".")[1] not in {"server", "worker", "client"}

    assert offences("vr", wrong) == []


def test_only_models_cascade_and_rng_know_jax():
    def wrong(source: str, target: str) -> bool:
        is_jax = target.split(".")[0] in {"jax", "jaxlib", "flax", "optax", "orbax"}
        return is_jax and not source.startswith(("vr.models", "vr.cascade", "vr.core.rng"))

    # The pipeline asks jax for its devices, for the report; it asks late.
    assert [text for text in offences("vr", wrong) if not text.startswith("vr/pipeline/")] == []


def test_only_telemetry_knows_trackers():
    assert offences("vr", lambda source, target: target.split(".")[0] == "wandb" and room(source) != "telemetry") == []


@pytest.mark.parametrize("package", ["vr", "synthetic", "experiments"])
def test_nothing_loads_code_from_data(package):
    assert offences(package, lambda _, target: target.split(".")[0] in FORBIDDEN_EVERYWHERE) == []
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls {node.func.id}"
        for path in modules(package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS
    ]
    assert calls == []


def test_no_module_outgrows_one_reading():
    large = [f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes" for path in modules("vr") + modules("synthetic")]
    assert [text for text in large if int(text.split()[-2]) > 24_000] == []


def test_the_checker_sees_an_import_inside_a_function(tmp_path):
    file = tmp_path / "late.py"
    file.write_text("def f():\n    from vr.pipeline import report\n    import hydra.core\n")
    assert [target for target, _ in imports(file)] == ["vr.pipeline.report", "hydra.core"]
    assert room("vr.pipeline.report") == "pipeline"
    assert room("vr.config") == "doors"
    assert room("hydra.core") is None


def loaded_by(statement: str, words: Sequence[str] = ()) -> set[str]:
    """Returns the libraries that a statement has loaded when the process ends, and modules of libraries."""
    code = f"import atexit, sys\natexit.register(lambda: print('\\n', *sys.modules))\n{statement}"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, cwd=ROOT)
    modules = done.stdout.splitlines()[-1].split()
    return {*modules, *(name.partition(".")[0] for name in modules)}


# What takes longer to load than what a run of seconds would use of it; fitting and rare columns may load it.
SLOW = {
    *("jax", "hydra", "pandas", "sklearn", "lightgbm", "matplotlib"),
    *("scipy.stats", "scipy.optimize", "scipy.signal", "scipy.spatial"),
}


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        (
            "import vr",
            {"jax", "hydra", "omegaconf", "pyarrow", "numpy", "sklearn", "pydantic", "wandb", "typer", "rich"},
        ),
        ("import vr.cli", {"jax", "hydra", "omegaconf", "pyarrow", "numpy", "sklearn", "pydantic", "wandb"}),
        ("import vr.config", {"jax", "numba", "pyarrow", "sklearn", "wandb"}),
        ("import experiments.supervise", {"jax", "hydra", "omegaconf", "numpy", "pyarrow", "orbax"}),
        ("import vr.cascade.agreement", {"jax", "orbax"}),
        # The process that listens computes nothing.
        (
            "import vr.server.serve",
            {
                *(
                    "jax",
                    "flax",
                    "numpy",
                    "numba",
                    "pyarrow",
                    "sklearn",
                    "scipy",
                    "hydra",
                    "omegaconf",
                    "pydantic",
                    "wandb",
                ),
                "opentelemetry",
            },
        ),
        (
            "import vr.server.command",
            {"jax", "flax", "numpy", "numba", "pyarrow", "sklearn", "scipy", "pydantic", "wandb"},
        ),
        (
            "import vr.worker.supervisor",
            {"jax", "flax", "numpy", "numba", "pyarrow", "sklearn", "scipy", "hydra", "omegaconf", "pydantic", "wandb"},
        ),
        ("import vr.client", {"jax", "hydra", "omegaconf", "numpy", "pyarrow", "sklearn", "wandb"}),
        ("import vr.pipeline.report", {"jax", "numba", "hydra", "omegaconf", "pyarrow", "sklearn", "wandb"}),
        (
            "import vr.data.source",
            {"jax", "numba", "hydra", "omegaconf", "sklearn", "h5py", "openpyxl", "polars", "wandb"},
        ),
    ],
)
def test_start_up_loads_only_what_it_needs(statement, absent):
    assert loaded_by(statement) & absent == set()


def test_statistics_and_data_run_without_jax():
    names = [name_of(path) for room_name in ("stats", "data") for path in modules(f"vr/{room_name}")]
    assert not loaded_by("".join(f"import {name.removesuffix('.__init__')}\n" for name in names)) & {"jax", "hydra"}


def test_the_pipeline_loads_nothing_slow():
    found = loaded_by("import vr.pipeline.validate, vr.pipeline.advice")
    assert found & SLOW == set()


def test_a_run_over_numbers_loads_nothing_slow(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        columns = {"x": rng.normal(size=400), "g": rng.choice(["u", "v"], 400)}
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    statement = "import sys; from vr.cli import main; sys.exit(main())"
    words = ["validate", *(str(tmp_path / f"{name}.parquet") for name in "ab"), "cascade=none"]
    words[2:3] = ["--reference", words[2]]
    found = loaded_by(statement, [*words, "--output", str(tmp_path / "out"), "--quiet"])
    assert "vr.localization.missing" in found
    assert found & SLOW - {"hydra"} == set()
