"""The closed loop from the command line: recommended, applied, predicted, measured, and told of by `vr history`."""

import json

import pyarrow.parquet as pq
import pytest

from tests.doors.test_fix_command import table, write_datasets
from tests.signatures.examples import applied, fix, signatures, validation
from vr.cli import main
from vr.pipeline.history import validation_record
from vr.pipeline.report import ValidationReport
from vr.signatures.config import SignaturesConfig
from vr.signatures.database import Database
from vr.signatures.history import keep, read
from vr.signatures.library import open_library


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Both datasets, more real rows, a library, and a report of a run with it."""
    place = tmp_path_factory.mktemp("history")
    write_datasets(place)
    pq.write_table(table(400, 9), place / "more.parquet")
    with Database(str(place / "ours.db")) as database:
        database.add(signatures(3))
    assert validate(place, "made.parquet", "report") == 0
    return place


def validate(folder, candidate, output, *words):
    given = [str(folder / candidate), "-r", str(folder / "real.parquet"), "-o", str(folder / output), "-q", "--no-html"]
    return main(["validate", *given, "cascade=none", f"signatures.library={folder / 'ours.db'}", *words])


def mend(folder, output, *words):
    given = ["--report", str(folder / "report" / "report.json"), "-o", str(folder / output), "-q"]
    given += ["--real", str(folder / "more.parquet")]
    return main(["fix", str(folder / "made.parquet"), *given, *words])


def told(folder, capsys, *words):
    capsys.readouterr()
    assert main(["history", "--library", str(folder / "ours.db"), *words]) == 0
    return capsys.readouterr().out


def report_in(folder, name):
    return ValidationReport.model_validate_json((folder / name / "report.json").read_bytes())


def test_a_fix_and_its_validation_close_the_loop(folder, capsys):
    before = report_in(folder, "report")
    first = before.recommendations[0]
    assert first.expected_risk_score is not None
    capsys.readouterr()
    assert mend(folder, "one.parquet", "--top", "1", "--validate") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    after = report_in(folder, "one.parquet.report")
    promised = first.expected_risk_score.value
    assert f"predicted {promised:.0f}, by action 1 alone; measured {after.risk_score:.0f}" in printed.out
    manifest = json.loads((folder / "one.parquet.manifest.json").read_text())
    assert manifest["validation"]["risk_score_predicted"] == promised
    assert manifest["validation"]["predicted_by"] == 1
    # Later, by hand, with another seed and by another name.
    assert mend(folder, "two.parquet", "--top", "2") == 0
    found = json.loads(told(folder, capsys, "--json"))
    assert [each["reason"] for each in found["fixes"]] == [None, "not validated since"]
    (folder / "two.parquet").rename(folder / "renamed.parquet")
    assert validate(folder, "renamed.parquet", "second", "seed=5") == 0
    found = json.loads(told(folder, capsys, "--json"))
    assert found["validations"] == found["datasets"] == 3
    by_output = {each["output"]: each for each in found["fixes"]}
    for name in ("one.parquet.report", "second"):
        report = report_in(folder, name)
        each = by_output[report.dataset.fingerprint]
        assert (each["risk_before"], each["risk"]) == (before.risk_score, report.risk_score)
        assert (each["dataset"], each["rows"], each["output_rows"]) == ("made.parquet", 650, report.dataset.rows)
        assert before.remedies is not None
        together = {tuple(told.priorities): told.expected_risk_score.value for told in before.remedies.together}
        done = tuple(range(1, len(each["actions"]) + 1))
        assert each["risk_predicted"] == (promised if done == (1,) else together[done])
        assert (each["predicted_by"] == "together") is (len(done) > 1)
        assert report.remedies is not None
        assert each["skill_loss"] == report.remedies.expected_skill_loss.value
    assert found["predictions"]["all"]["cases"] == 2
    # Both of one dataset: one witness, and no interval.
    assert found["predictions"]["all"]["datasets"] == 1
    assert found["predictions"]["all"]["reason"] == "of one dataset"
    assert found["predictions"]["of_one"]["cases"] == 1
    out = told(folder, capsys)
    assert "3 validations of 3 datasets, 2 fixes, 2 of them validated since" in out
    assert "made.parquet: 650 to" in out
    assert "measured less predicted risk:" in out


def test_what_is_kept_holds_no_path_no_column_and_no_value(folder):
    with Database(str(folder / "ours.db")) as database:
        rows = contents(database)
    told = {"name", "fingerprint", "rows", "reference", "question", "seed", "verdict", "risk", "skill_lost"}
    predicted = {"priority", "kind", "rows", "risk", "shift", "lower", "upper", "skill_lost"}
    assert rows
    for text in rows:
        document = json.loads(text)
        judged = document.get("judged") or document["before"]
        assert set(judged) == told
        assert "/" not in text
        for each in document.get("recommended") or [step["prediction"] for step in document["applied"]]:
            assert set(each) == predicted
            assert each["kind"] in ("deduplicate", "drop_rows", "clip", "add_real_rows")


def without_run(report):
    document = report.to_dict()
    del document["run"]
    return document


def test_history_changes_no_report_and_can_be_left_alone(folder, capsys):
    with Database(str(folder / "ours.db")) as database:
        before = read(database)
    assert validate(folder, "made.parquet", "again", "signatures.history=false") == 0
    with Database(str(folder / "ours.db")) as database:
        assert read(database) == before
    assert without_run(report_in(folder, "again")) == without_run(report_in(folder, "report"))
    # An output folder belongs to what decides the report, which this does not.
    capsys.readouterr()
    assert validate(folder, "made.parquet", "again", "signatures.history=true") == 0
    assert "already holds this run, finished" in capsys.readouterr().err


def test_history_that_fails_stops_no_run_and_no_fix(folder, tmp_path, caplog, monkeypatch):
    read_only = f"signatures.library='sqlite:///file:{folder / 'ours.db'}?mode=ro&uri=true'"
    assert validate(folder, "made.parquet", "read_only", "seed=1", read_only) == 0
    assert "nothing was kept in the history (signatures.history=false leaves it alone)" in caplog.text

    caplog.clear()
    monkeypatch.setattr("vr.signatures.history.keep", lambda *_: 1 / 0)
    assert validate(folder, "made.parquet", "failing", "seed=1") == 0
    assert "division by zero" in caplog.text
    assert without_run(report_in(folder, "failing")) == without_run(report_in(folder, "read_only"))
    monkeypatch.undo()

    # The library that the report names is not there any more, and none is made in its place.
    caplog.clear()
    document = json.loads((folder / "report" / "report.json").read_text())
    document["run"]["configuration"]["signatures"]["library"] = str(tmp_path / "gone.db")
    (folder / "report" / "moved.json").write_text(json.dumps(document))
    words = ["--report", str(folder / "report" / "moved.json"), "-o", str(tmp_path / "clean.parquet"), "-q"]
    assert main(["fix", str(folder / "made.parquet"), *words]) == 0
    assert "gone.db: is no library" in caplog.text
    assert not (tmp_path / "gone.db").exists()


def test_a_track_record_in_words(tmp_path, capsys):
    place = str(tmp_path / "ours.db")
    records = []
    for i, risk in enumerate((14.0, 22.0, 60.0)):
        records += [validation(f"a{i}"), fix(f"a{i}", f"b{i}"), validation(f"b{i}", risk, recommended=())]
    several = (applied("deduplicate", 40.0), applied("clip", None, priority=2), applied("clip", None, priority=3))
    records += [fix("a0", "c", *several, name="m\x1b[31m.csv"), fix("a1", "d", applied("clip", None))]
    with Database(place) as database:
        keep(database, [*records, validation("c", 38.0, recommended=()), validation("d", None, recommended=())])
    words = ["history", "--library", place]
    assert main(words) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == f"{place}: 8 validations of 8 datasets, 5 fixes, 4 of them validated since"
    assert "drop_rows                  3          3        3" in lines
    assert "clip                       0          0        3" in lines
    assert "deduplicate, 2 x clip" in out
    assert "risk 80 (review); predicted 40 by deduplicate alone; measured 38 (review)" in out
    assert "risk 80 (review); predicted unknown; its risk could not be measured" in out
    assert "\x1b" not in out
    start = lines.index("all fixes (4 fixes of 3 datasets)")
    # Means of datasets -4, 2 and 40; Student's interval of these three.
    assert lines[start + 1] == "  predicted gains came in 4 of 4 (29% to 100% of datasets at 95%)"
    assert (
        lines[start + 2]
        == "  measured less predicted risk: +12.7 on average (-46.6 to +71.9 at 95%), from -6.0 to +40.0"
    )
    assert "of one action (3 fixes of 3 datasets)" in lines
    assert main([*words, "-n", "1"]) == 0
    assert "the last 1 of 5 fixes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("library", "code", "text"),
    [
        ("none.db", 2, "none.db: is no library"),
        ("postgresql://u:secret@host/base", 2, "holds a password"),
    ],
)
def test_what_is_no_library_is_one_line(tmp_path, monkeypatch, capsys, library, code, text):
    monkeypatch.chdir(tmp_path)
    assert main(["history", "--library", library]) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert text in err
    assert "secret" not in err


def test_a_library_is_made_where_that_is_asked_for_and_says_that_it_has_no_history(tmp_path, capsys):
    words = ["history", "--library", str(tmp_path / "ours.db")]
    assert main(words) == 2
    assert "`vr history --create` makes one" in capsys.readouterr().err
    assert main([*words, "--create"]) == main(words) == 0
    library = open_library(SignaturesConfig(library=str(tmp_path / "ours.db")))
    assert library.signatures == open_library(SignaturesConfig()).signatures
    assert "0 validations of 0 datasets, 0 fixes, 0 of them validated since" in capsys.readouterr().out


def test_a_prediction_is_moved_by_history_where_that_is_asked_for(folder, tmp_path, capsys):
    before = report_in(folder, "report")
    told = before.recommendations[0]
    kind, place = told.action["kind"], str(tmp_path / "ours.db")
    question = validation_record(before).judged.question
    with Database(place) as database:
        for i in range(12):
            done = fix(f"a{i}", f"b{i}", applied(kind, 40.0), question=question)
            keep(database, [done, validation(f"b{i}", 50.0 + i % 3, recommended=(), question=question)])
            # Under another head, or with other proxies: nothing to be learned for this run.
            done = fix(f"c{i}", f"d{i}", applied(kind, 40.0), question="other")
            keep(database, [done, validation(f"d{i}", 90.0, recommended=(), question="other")])
    words = [f"signatures.library={place}", "recommendation.history=true"]
    assert validate(folder, "made.parquet", "moved", *words) == 0
    moved = {each.action["kind"]: each for each in report_in(folder, "moved").recommendations}
    assert told.expected_risk_score is not None
    shift = moved[kind].history_shift
    # Errors of 10, 11 and 12, and little to be drawn towards none for.
    assert 10.0 < shift < 11.0
    assert moved[kind].expected_risk_score.value == pytest.approx(told.expected_risk_score.value + shift, abs=0.002)
    assert moved[kind].basis.startswith("moved by +")
    assert all(each.history_shift == 0.0 for name, each in moved.items() if name != kind)
    # What is learned from is what was measured, not what was moved.
    with Database(place) as database:
        document = json.loads(
            next(text for text in contents(database) if '"made.parquet"' in text and '"recommended"' in text)
        )
    kept = next(each for each in document["recommended"] if each["kind"] == kind)
    assert kept["risk"] - kept["shift"] == pytest.approx(told.expected_risk_score.value, abs=0.002)
    # Another history is another report, and so another run.
    with Database(place) as database:
        done = fix("x", "y", applied(kind, 40.0), question=question)
        keep(database, [done, validation("y", 39.0, recommended=(), question=question)])
    capsys.readouterr()
    assert validate(folder, "made.parquet", "moved", *words) == 2
    assert "holds a run of other inputs or another configuration" in capsys.readouterr().err
    assert validate(folder, "made.parquet", "none", "signatures.library=null", "recommendation.history=true") == 2
    assert "recommendation.history: has no history to read" in capsys.readouterr().err


def contents(database):
    with database._engine.connect() as connection:
        return connection.exec_driver_sql("SELECT content FROM vr_history").scalars().all()


def test_a_verdict_alone_is_kept_in_no_history(folder, capsys):
    before = json.loads(told(folder, capsys, "--json"))["validations"]
    assert validate(folder, "real.parquet", "verdict", "--verdict-only") == 0
    assert json.loads(told(folder, capsys, "--json"))["validations"] == before
