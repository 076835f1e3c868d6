"""Exit codes, one-line errors and what goes to which stream; the pipeline itself is replaced here."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.sample_report import approve, reject
from vr.cli import main
from vr.core.errors import CheckpointError, ConfigError, DataError, DivergedError
from vr.pipeline.extent import Extent
from vr.pipeline.progress import Event
from vr.pipeline.report import ValidationReport, Verdict

BAD = reject()


class Pipeline:
    """Stands in for `vr.session.run`: remembers the call, writes what a run writes, gives a report or raises."""

    def __init__(self, outcome: ValidationReport | BaseException = BAD):
        self.outcome = outcome
        self.calls: list[dict] = []
        self.extents: list[Extent] = []

    def __call__(self, candidate, reference, config, *, output, force, html, progress, extent, on_loaded):
        self.calls.append({"config": config, "output": output, "force": force, "html": html})
        self.extents.append(extent)
        if progress is not None:
            progress(Event("profile", 1, 2, "half of it"))
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        if force or not (output / "report.json").exists():
            self.outcome.save(output / "report.json")
        return self.outcome


@pytest.fixture
def pipeline(monkeypatch, tmp_path) -> Pipeline:
    stand_in = Pipeline()
    monkeypatch.setattr("vr.session.run", stand_in)
    monkeypatch.chdir(tmp_path)
    return stand_in


def one_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    assert text.startswith("error: ")
    return text[len("error: ") : -1]


def test_words_come_in_any_order(pipeline, capsys):
    assert main(["validate", "a.parquet", "--reference", "b.csv", "--output", "out", "cascade=smoke", "seed=3"]) == 0
    assert main(["validate", "seed=3", "--output", "out", "cascade=smoke", "a.parquet", "-r", "b.csv"]) == 0
    first, second = (call["config"] for call in pipeline.calls)
    assert first == second
    assert (first.data.uri, first.reference.uri, first.seed, first.cascade.preset) == ("a.parquet", "b.csv", 3, "smoke")
    assert pipeline.calls[0] == {"config": first, "output": Path("out"), "force": False, "html": True}


def test_the_verdict_may_be_all_that_is_asked_for(pipeline, capsys):
    pipeline.outcome = BAD.model_copy(update={"extent": Extent.verdict, "recommendations": []})
    assert main(["validate", "a.parquet", "--verdict-only", "--gate"]) == 1
    assert main(["validate", "a.parquet", "--gate"]) == 1
    assert pipeline.extents == [Extent.verdict, Extent.whole]
    printed = capsys.readouterr().out
    assert "not asked for  diversity, rows to blame, what to do" in printed
    assert "do first" not in printed


def test_options_reach_the_run(pipeline):
    words = [
        "validate",
        "a",
        "--format",
        "csv",
        "--reference",
        "b",
        "--reference-format",
        "jsonl",
        "--no-html",
        "--force",
    ]
    assert main([*words, "-o", "out"]) == 0
    (call,) = pipeline.calls
    assert (call["config"].data.format, call["config"].reference.format) == ("csv", "jsonl")
    assert (call["html"], call["force"]) == (False, True)


def test_a_path_with_an_equals_sign_is_a_path(pipeline, tmp_path):
    (tmp_path / "day=3").mkdir()
    assert main(["validate", "day=3", "seed=1", "-o", "out"]) == 0
    assert pipeline.calls[0]["config"].data.uri == "day=3"


def test_a_reference_may_come_from_the_configuration(pipeline):
    assert main(["validate", "a", "reference.uri=r.parquet", "-o", "out"]) == 0
    assert pipeline.calls[0]["config"].reference.uri == "r.parquet"


def test_the_default_folder_is_named_by_date(pipeline):
    assert main(["validate", "a.parquet", "--quiet"]) == 0
    assert main(["validate", "a.parquet", "--quiet"]) == 0
    folders = [call["output"].as_posix() for call in pipeline.calls]
    assert len(set(folders)) == 2
    assert all(re.fullmatch(r"outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d(-\d+)?", folder) for folder in folders)


@pytest.mark.parametrize(("report", "code"), [(reject(), 1), (approve(), 0)], ids=["reject", "approve"])
def test_the_gate_turns_a_rejection_into_exit_1(pipeline, report, code):
    pipeline.outcome = report
    assert main(["validate", "a.parquet", "--gate", "-o", "out"]) == code
    assert main(["validate", "a.parquet", "-o", "out2"]) == 0


def test_a_review_passes_the_gate(pipeline):
    pipeline.outcome = BAD.model_copy(update={"verdict": Verdict.review})
    assert main(["validate", "a.parquet", "--gate", "-o", "out"]) == 0


def test_the_verdict_goes_to_stdout_and_progress_to_stderr(pipeline, capsys):
    assert main(["validate", "a.parquet", "-o", "out"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("REJECT ")
    assert printed.out.endswith("out/report.html\n")
    assert printed.err == "profile     50% half of it\n"


def test_without_a_page_the_summary_points_to_the_json(pipeline, capsys):
    assert main(["validate", "a.parquet", "-o", "out", "--no-html", "-q"]) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith("out/report.json\n")
    assert printed.err == ""


def test_json_is_the_report_and_nothing_else(pipeline, capsys):
    assert main(["validate", "a.parquet", "-o", "out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == BAD.to_dict()


def test_a_finished_run_is_said_to_be_finished(pipeline, capsys):
    assert main(["validate", "a.parquet", "-o", "out", "-q"]) == 0
    assert capsys.readouterr().err == ""
    # The clock of the file system may be coarser than that of the process.
    os.utime("out/report.json", (1_600_000_000, 1_600_000_000))
    assert main(["validate", "a.parquet", "-o", "out", "-q"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "out already holds this run, finished; --force runs it again\n"
    assert printed.out.startswith("REJECT ")
    assert main(["validate", "a.parquet", "-o", "out", "-q", "--force"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("is a file, not a folder", where="out", hint="give another --output"), 2),
        (DataError("is no parquet file", where="a.parquet", hint="say --format"), 3),
        (DivergedError("6 of 10 proxies ended in NaN"), 4),
        (CheckpointError("is marked finished,\nbut cannot be read", where="out"), 4),
        (OSError(28, "No space left on device", "out/report.json"), 4),
        (ZeroDivisionError(), 4),
        (MemoryError("could not allocate\n3 GiB"), 4),
    ],
)
def test_a_failure_is_one_line_and_its_exit_code(pipeline, capsys, error, code):
    pipeline.outcome = error
    assert main(["validate", "a.parquet", "-o", "out", "--quiet"]) == code
    printed = capsys.readouterr()
    line = one_line(printed.err)
    assert printed.out == ""
    assert "Traceback" not in line
    assert (type(error).__name__ in line) == (type(error).__module__ == "builtins")
    assert ("--debug shows the traceback" in line) == (type(error).__module__ == "builtins")


def test_debug_shows_the_traceback(pipeline, capsys):
    pipeline.outcome = DataError("is no parquet file", where="a.parquet")
    assert main(["validate", "a.parquet", "-o", "out", "--debug"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert "Traceback (most recent call last):" in lines
    assert lines[-1] == "error: a.parquet: is no parquet file"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["validate"], "Missing argument 'CANDIDATE'"),
        (["nonsense"], "No such command 'nonsense'"),
        (["fix", "a.parquet"], "Missing option '--report'"),
        (["fix", "a.parquet", "--report", "r.json"], "Missing option '--output'"),
        (["fix", "a.parquet", "--report", "r.json", "-o", "b.parquet"], "r.json: cannot be read (No such file"),
        (["validate", "a", "--no-such-option"], "--no-such-option"),
        (["validate", "a", "--output"], "'--output' requires an argument"),
        (["validate", "a", "b"], "b: is neither an option nor KEY=VALUE; one dataset at a time"),
        (["validate", "a", "sed=1"], "sed: no such configuration key; did you mean seed?"),
        (["validate", "a", "seed=one"], "seed: Value 'one' of type 'str' could not be converted to Integer"),
        (["validate", "a", "cascade=lapto"], "did you mean laptop?"),
        (["validate", "a", "seed=1,2"], "seed: several values are a sweep"),
        (["profile"], "Missing argument 'DATASET'"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(pipeline, capsys, words, text):
    assert main(words) == 2
    printed = capsys.readouterr()
    assert text in one_line(printed.err)
    assert printed.out == ""
    assert pipeline.calls == []
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("given", [True, False])
def test_an_interrupted_run_says_how_to_go_on(pipeline, capsys, given):
    pipeline.outcome = KeyboardInterrupt()
    assert main(["validate", "a.parquet", "-q", *(["--output", "out"] if given else [])]) == 130
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    if given:
        assert line == "interrupted; the same command resumes\n"
    else:
        assert re.fullmatch(r"interrupted; the same command with --output outputs/\S+ resumes\n", line)


def test_version_help_and_no_words(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"vr \d+\.\d+\.\d+\n", capsys.readouterr().out)
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert [word for word in ("validate", "profile", "schema", "serve", "worker") if word not in shown] == []
    assert main([]) == 2
    assert "Usage" in capsys.readouterr().out


def test_schema_describes_the_report(capsys):
    assert main(["schema"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert set(BAD.to_dict()) == set(described["properties"])


def command(*words: str, cwd: Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "vr", *words], text=True, cwd=cwd, timeout=60, **options)


def test_the_module_runs_as_the_command_does(tmp_path):
    done = command("validate", "a", "sed=1", cwd=tmp_path, capture_output=True)
    assert done.returncode == 2
    assert one_line(done.stderr).startswith("sed: no such configuration key")


def test_nothing_is_searched_for_garbage_as_the_interpreter_ends(tmp_path):
    told = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 1000, gc.isenabled()))"
    for call, at_the_end in (("main()", "True"), ("main(['--version'])", "False")):
        code = f"{told}; from vr.cli import main; {call}; print(gc.get_freeze_count())"
        words = [sys.executable, "-c", code, "--version"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.split()[-3:] == ["0", at_the_end, "True"]


def test_a_call_of_the_command_line_leaves_the_process_its_pandas(tmp_path):
    code = """
from vr.cli import main
assert main(["validate", "none.parquet", "cascade=none", "--output", "out"]) == 3
import pandas, pyarrow as pa
print(pa.array([pandas.NA, "a", pandas.NaT], pa.string(), from_pandas=True).null_count)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "2"


def test_a_reader_who_has_gone_away_is_no_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    done = command("schema", cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_column_of_one_side_can_be_ignored_and_a_misspelt_one_is_named(tmp_path, capsys):
    rows = "".join(f"{i % 7},{i % 5}\n" for i in range(200))
    (tmp_path / "a.csv").write_text("x,y\n" + rows)
    (tmp_path / "b.csv").write_text("x,y,extra\n" + "".join(f"{i % 7},{i % 5},{i}\n" for i in range(200)))
    words = ["validate", str(tmp_path / "b.csv"), "-r", str(tmp_path / "a.csv"), "-q", "cascade=none"]
    assert main([*words, "-o", str(tmp_path / "out"), "data.types.extra=ignore"]) == 0
    assert main([*words, "-o", str(tmp_path / "other"), "data.types.extar=ignore"]) == 3
    assert "extar" in capsys.readouterr().err
