"""Benchmarks in parts: nothing that was done is lost, done twice or claimed, and nothing that failed is passed over."""

import json
import re
import time

import pytest

from benchmarks import worker_faults
from benchmarks.trials import Kept, Trials, carry_on

SETTINGS = {"seed": 3}


def numbered(planned: int, **more) -> tuple[Trials, list[tuple[int, int]]]:
    """Trials that do two units each, and what they were asked."""
    asked: list[tuple[int, int]] = []

    def trial(number: int, left: int):
        asked.append((number, left))
        return {"units": min(2, left), "figure": number}

    return Trials("row", "units", planned, trial, **more), asked


def test_what_was_kept_is_not_done_again_and_is_what_one_part_would_have_given(tmp_path):
    whole = Kept(tmp_path / "whole.json", SETTINGS)
    carry_on(numbered(5)[0], whole)
    first, asked = numbered(3)
    carry_on(first, Kept(tmp_path / "parts.json", SETTINGS))
    assert asked == [(0, 3), (1, 1)]
    second, asked = numbered(6)
    kept = Kept(tmp_path / "parts.json", SETTINGS)
    assert kept.done == 3
    carry_on(second, kept)
    assert asked == [(2, 3), (3, 1)]
    assert Kept(tmp_path / "parts.json", SETTINGS).trials == kept.trials
    assert [trial["figure"] for trial in whole.trials] == [0, 1, 2]
    assert [trial["figure"] for trial in kept.trials] == [0, 1, 2, 3]


def test_an_interruption_costs_the_trial_under_way_alone(tmp_path):
    def trial(number: int, left: int):
        if number == 2:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        carry_on(Trials("row", "units", 5, trial), Kept(tmp_path / "row.json", SETTINGS))
    assert Kept(tmp_path / "row.json", SETTINGS).done == 2


def test_a_trial_that_fails_is_a_finding_and_the_next_one_is_done(tmp_path):
    def trial(number: int, left: int):
        if number == 1:
            raise TimeoutError("nothing came")
        return {"wrong": ["odd"]} if number == 2 else {}

    kept = Kept(tmp_path / "row.json", SETTINGS)
    carry_on(Trials("row", "units", 4, trial), kept)
    assert kept.done == 4
    first, second = kept.wrong
    # Of a timeout that says nothing, at least where it was.
    assert re.fullmatch(r"trial 1: TimeoutError: nothing came, trial, line \d+", first)
    assert second == "trial 2: odd"
    assert [each["failed"] for each in kept.trials] == [False, True, False, False]


def test_where_all_trials_fail_the_rest_is_not_run(tmp_path):
    def trial(number: int, left: int):
        if number != 1:
            raise RuntimeError("no worker starts")
        return {}

    kept = Kept(tmp_path / "row.json", SETTINGS)
    carry_on(Trials("row", "units", 50, trial), kept)
    # One that went well in between begins the count anew.
    assert [each["failed"] for each in kept.trials] == [True, False, True, True, True]


def test_no_trial_begins_that_would_not_be_over_in_time(tmp_path):
    trials, asked = numbered(6, least_s=lambda number: 1000.0 * number)
    carry_on(trials, Kept(tmp_path / "row.json", SETTINGS), time.monotonic() + 500.0)
    assert asked == [(0, 6)]
    trials, asked = numbered(6)
    carry_on(trials, Kept(tmp_path / "row.json", SETTINGS), time.monotonic())
    assert asked == []


@pytest.mark.parametrize(
    "content",
    ['{"settings": {"seed": 4}, "trials": []}', "[]", "{", '{"trials": []}'],
)
def test_trials_of_other_settings_or_none_are_refused(tmp_path, content):
    path = tmp_path / "row.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="row.json .*: remove it, or name another folder"):
        Kept(path, SETTINGS)


def test_what_was_not_run_is_said(tmp_path, capsys):
    words = [f"--kept={tmp_path / 'kept'}", f"--results={tmp_path / 'results'}"]
    (tmp_path / "kept").mkdir()
    trial = {"units": 1, "wrong": [], "failed": False, "revision": "a", "by": "cancellation", "told_s": 2.0}
    trials = [{**trial, "child_gone_s": 1.0}, {**trial, "failed": True, "wrong": ["TimeoutError: "]}]
    (tmp_path / "kept" / "row_18.json").write_text(json.dumps({"settings": {"seed": 0}, "trials": trials}))
    assert worker_faults.main([*words, "--minutes=0", "--rows=3,18", "--signals=2"]) == 1
    told = capsys.readouterr().out
    assert "row 3: 0 of 6 signals, 6 NOT RUN" in told
    assert "row 18: 2 of 4 stopped jobs, 2 NOT RUN" in told
    assert "row 18: WRONG: trial 1: TimeoutError" in told
    assert "the same command goes on" in told
    # Of what was not run at all nothing is written; of the rest, how much it is.
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["worker_faults_18.json"]
    result = json.loads((tmp_path / "results" / "worker_faults_18.json").read_text())
    assert (result["planned"], result["done"], result["not_run"]) == (4, 2, 2)
    assert result["cancellation"]["child_gone_s"] == {"count": 1, "median": 1.0, "max": 1.0}
    assert result["time limit"]["child_gone_s"] == {"count": 0}


def test_a_row_that_there_is_none_of_is_refused(capsys):
    with pytest.raises(SystemExit):
        worker_faults.main(["--rows=1,12"])
    assert "no row 12" in capsys.readouterr().err


@pytest.mark.slow
def test_a_row_is_done_in_two_parts(tmp_path, capsys):
    words = [f"--kept={tmp_path / 'kept'}", f"--results={tmp_path / 'results'}", "--rows=3"]
    assert worker_faults.main([*words, "--signals=1"]) == 0
    assert worker_faults.main([*words, "--signals=2"]) == 0
    result = json.loads((tmp_path / "results" / "worker_faults_3.json").read_text())
    assert (result["done"], result["not_run"], result["wrong"]) == (6, 0, [])
    assert {phase["signals"] for phase in result["phases"].values()} == {2}
    assert "3 of 6 signals are done" in capsys.readouterr().out
