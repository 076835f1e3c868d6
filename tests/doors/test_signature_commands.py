"""`vr signatures` from the command line, on files: one-line errors, and what one machine exports another imports."""

import json

import pytest

from tests.pipeline.sample_report import approve, reject
from tests.signatures.examples import signatures
from vr.cli import main
from vr.pipeline.report import PreScreenSection, Status
from vr.signatures.components import NAMES, VERSION
from vr.signatures.database import Database
from vr.signatures.document import to_text


@pytest.fixture
def report(tmp_path, monkeypatch):
    """A report with a fingerprint."""
    monkeypatch.chdir(tmp_path)
    values = {name: z for name, z in zip(NAMES, signatures(1)[0].fingerprint, strict=True) if z is not None}
    section = PreScreenSection(status=Status.measured, fingerprint=values, fingerprint_version=VERSION)
    reject().model_copy(update={"prescreen": section}).save(tmp_path / "report.json")
    return "report.json"


def test_what_is_added_is_matched_listed_and_carried_elsewhere(report, capsys):
    words = ["--label", "collapsed", "--skill-lost", "0.4", "--source", "ctgan", "--generation", "2"]
    assert main(["signatures", "add", report, "--library", "ours.db", *words, "--json"]) == 0
    added = json.loads(capsys.readouterr().out)
    assert (added["added"], added["generation"]) == (1, 1)
    assert main(["signatures", "add", report, "--library", "ours.db", *words]) == 0
    assert "is there already" in capsys.readouterr().out
    assert main(["signatures", "export", "ours.json", "--library", "ours.db"]) == 0
    assert main(["signatures", "import", "ours.json", "--library", "theirs.db"]) == 0
    assert main(["signatures", "import", "ours.json", "--library", "theirs.db"]) == 0
    assert "0 signatures added to theirs.db, 1 were there" in capsys.readouterr().out
    assert main(["signatures", "match", report, "--library", "theirs.db", "-n", "2", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["signatures"]
    assert (first["signature_id"], first["similarity"]) == (added["id"], 1.0)
    assert first["historical_outcome"]["source"] == "ctgan"
    assert second["similarity"] < 1.0
    assert main(["signatures", "list", "--library", "theirs.db", "--no-shipped"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(added["id"])
    assert "ctgan of census_real.parquet, generation 2" in out
    assert out.endswith("1 signature\n")


def test_the_shipped_signatures_are_listed_by_label(capsys):
    assert main(["signatures", "list", "--label", "healthy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {each["outcome"]["label"] for each in found} == {"healthy"}


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["add", "report.json", "--library", "a.db", "--label", "fine"], 3, "outcome.label: must be one of healthy"),
        (
            ["add", "report.json", "-l", "a.db", "--label", "grey", "--skill-lost", "nan"],
            3,
            "outcome.skill_lost: must be",
        ),
        (
            ["add", "report.json", "-l", "a.db", "--label", "grey", "--real-share", "-5"],
            3,
            "origin.real_share: must lie",
        ),
        (["add", "none.json", "--library", "a.db", "--label", "healthy"], 2, "none.json: cannot be read"),
        (["add", "old.json", "--library", "a.db", "--label", "healthy"], 3, "validate the dataset again"),
        (["list", "--library", "none.db"], 2, "none.db: is no library"),
        (["match", "report.json", "--library", "report.json"], 4, "report.json: is damaged"),
        (["export", "report.json", "--library", "a.db"], 2, "report.json: is there already"),
        (["import", "report.json", "--library", "a.db"], 3, "is no document of signatures"),
        (["import", "good.json", "--library", "no/such/folder.db"], 4, "no/such/folder.db: failed"),
        (["add", "report.json", "--label", "healthy"], 2, "--library"),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(report, tmp_path, capsys, words, code, text):
    approve().save(tmp_path / "old.json")
    (tmp_path / "good.json").write_text(to_text(signatures(2), {}))
    assert main(["signatures", *words]) == code
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert text in err


def test_an_export_of_a_damaged_library_says_what_is_left_out(tmp_path, monkeypatch, capsys):
    import sqlite3

    monkeypatch.chdir(tmp_path)
    with Database("ours.db") as database:
        database.add(signatures(3))
    with sqlite3.connect("ours.db") as connection:
        connection.execute("UPDATE vr_signatures SET sha256 = 'x' WHERE id = ?", (signatures(3)[0].id,))
    connection.close()
    assert main(["signatures", "export", "ours.json", "--library", "ours.db"]) == 0
    printed = capsys.readouterr()
    assert "1 damaged and 0 missing signatures are left out" in printed.err
    assert "2 signatures in ours.json" in printed.out
