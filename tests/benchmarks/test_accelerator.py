"""The accelerator's benchmark: what it counts, how it reads a program, and the places of its tables."""

import pytest

from benchmarks.accelerator.__main__ import steps_of
from benchmarks.accelerator.kernels import instructions_of, part_of
from benchmarks.accelerator.page import PAGE, merged, tables
from benchmarks.accelerator.units import counted

_PROGRAM = """
ENTRY %main {
  %fusion.7 = f32[3]{0} fusion(%p), kind=kLoop, metadata={op_name="jit(traced)/while/body/optimizer/add"}
  ROOT gemm_dot.1 = bf16[3,4]{1,0} dot(%a, %b), metadata={op_name="jit(f)/transpose(jvp(gate))/dot_general"}
}
"""


def test_one_hot_products_count_every_pair_exactly():
    found = counted(800, 5, 7)
    assert found["cells_that_differ"] == 0
    assert found["counts"] == 800 * 10


def test_an_instruction_is_found_by_its_kernels_name():
    paths = instructions_of(_PROGRAM)
    assert paths["fusion_7"].endswith("optimizer/add")
    assert part_of(paths["gemm_dot_1"]) == "gate backward"


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("jit(traced)/while/body/vmap(jvp(gate))/dot_general", "gate"),
        ("jit(traced)/while/body/transpose(jvp(jvp(head)))/dbc,dck->dbk/dot_general", "head backward"),
        ("jit(traced)/while/body/jvp(dense)/loss/exp", "loss"),
        ("jit(traced)/while/body/add", "other"),
    ],
)
def test_a_part_is_the_innermost_known_scope(path: str, part: str):
    assert part_of(path) == part


def test_a_later_failure_does_not_replace_what_went_well():
    good = {"steps": {"units": {"error": None}}, "parts": {"units": {"device": "a"}}, "date": "1"}
    bad = {"steps": {"units": {"error": "stopped"}, "tiers": {"error": "stopped"}}, "parts": {"units": {}}, "date": "2"}
    whole = merged([good, bad])
    assert whole["parts"]["units"] == {"device": "a"}
    assert whole["steps"]["tiers"]["error"] == "stopped"
    assert merged([bad, good])["parts"]["units"] == {"device": "a"}


def test_the_page_has_a_place_for_every_table_even_of_what_failed():
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in tables({"parts": {}, "date": "2026-01-01"}).items():
        assert f"<!-- accelerator {name} -->" in page
        assert lines


def test_every_step_is_bounded_and_has_a_name_of_its_own(tmp_path):
    steps = steps_of(tmp_path, "cuda")
    assert len({step.name for step in steps}) == len(steps)
    assert all(0 < step.limit_s <= 600 for step in steps)
