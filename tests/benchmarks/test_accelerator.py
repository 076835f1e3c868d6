"""The accelerator's benchmark: what it counts, how it reads a program, and the places of its tables."""

import pytest

from benchmarks.accelerator.__main__ import outcomes_of, steps_of
from benchmarks.accelerator.kernels import instructions_of, part_of
from benchmarks.accelerator.page import PAGE, merged, tables
from benchmarks.accelerator.units import counted
from benchmarks.accelerator.validation import stages_of

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


def test_a_row_measured_again_replaces_the_old_one_and_spares_the_others():
    def document(step, error, *rows):
        tiers = [{"preset": "h100", "tier": tier, "network": "mlp", "step_ms": ms} for tier, ms in rows]
        return {"steps": {step: {"error": error}}, "parts": {step: {"tiers": tiers}}}

    first = document("tiers_rest", None, ("tier_1", 1), ("tier_2", 2), ("tier_3", 3))
    whole = merged([first, document("tiers_rest", "stopped", ("tier_1", 10)), document("tiers", None, ("tier_2", 20))])
    found = {name: [(r["tier"], r["step_ms"]) for r in part["tiers"]] for name, part in whole["parts"].items()}
    assert found == {"tiers_rest": [("tier_1", 10), ("tier_3", 3)], "tiers": [("tier_2", 20)]}
    assert len(first["parts"]["tiers_rest"]["tiers"]) == 3


_TOLD = """devices: 1
0.1 profile candidate
0.9 prescreen proceed
INFO:vr.cascade.training:a training program takes 29 MiB of 54729
5.54 cascade tier_1: 1 s left, step 15 of 300, loss 2.276, 2,097,870 rows/s; 50 models
6.2 cascade tier_1: done
26.2 cascade tier_2: 73 s left, step 1,800 of 3,000, loss 2.373, 100,471 rows/s; 6 models
"""


def test_a_log_tells_how_far_a_run_without_a_report_came():
    found = stages_of(_TOLD)
    assert (found["seconds"], found["stage"], found["before_s"]) == (26.2, "cascade", 0.9)
    assert found["cascade_seconds"] == {"tier_1": 5.3}
    lines = tables({"parts": {"workstation": {"told": found}}, "date": ""})["validate"]
    assert "stopped, at 26 s in tier_2, step 1,800 of 3,000 | 5.3 s |" in lines[2]
    assert "not measured" in lines[3]
    ended = stages_of(_TOLD + "30.0 cascade tier_2: done\n31.5 recommend \n0.1 profile candidate\n")
    lines = tables({"parts": {"laptop": {"told": ended}}, "date": ""})["validate"]
    assert lines[3].endswith("| 31.5 s to the report | 5.3, 23.8 s | | | 2.4 s |")
    assert stages_of("Traceback") == {}


def test_the_page_has_a_place_for_every_table_even_of_what_failed():
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in tables({"parts": {}, "date": "2026-01-01"}).items():
        assert f"<!-- accelerator {name} -->" in page
        assert lines


def test_every_step_is_bounded_and_has_a_name_of_its_own(tmp_path):
    steps = steps_of(tmp_path, "cuda")
    assert len({step.name for step in steps}) == len(steps)
    assert all(0 < step.limit_s <= 1_800 for step in steps)


def test_outcomes_of_tests_are_read_from_a_log_that_ends_in_the_middle():
    log = """5 workers [4 items]
tests/a.py::test_one
[gw0] [ 25%] PASSED tests/a.py::test_one
[gw1] [ 50%] FAILED tests/a.py::test_two[a-PASSED x]
[gw1] [ 75%] SKIPPED tests/b.py::test_three
tests/b.py::test_four
"""
    expected = {"tests": 4, "ended": 3, "passed": 1, "failed": ["tests/a.py::test_two[a-PASSED x]"]}
    assert outcomes_of(log) == expected
    assert outcomes_of("INTERNALERROR>") == {}
