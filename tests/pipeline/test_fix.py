"""`vr fix` on real files: what it removes, changes and adds, what it writes about it, and what it refuses."""

import json
import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vr.cascade.config import preset
from vr.core.errors import AlreadyPublishedError, ConfigError, DataError, StoreError, VrError
from vr.data.rewrite.edits import Edits
from vr.data.rewrite.rewrite import rewrite
from vr.data.source import open_source
from vr.data.store.publish import digest_of
from vr.localization.localize import Sampled
from vr.pipeline import advice, preview
from vr.pipeline.chosen import load_report
from vr.pipeline.config import Config
from vr.pipeline.fix import fix
from vr.pipeline.intake import take_in
from vr.pipeline.manifest import compact
from vr.pipeline.real_rows import RealRows
from vr.pipeline.validate import validate
from vr.pipeline.weights import write_weights
from vr.recommendation.regions import Condition, Region
from vr.recommendation.vocabulary import AddRealRows, Clip, DropRows, Reweight, parse_action

ROWS, REPEATS, FAR, OUTLIERS = 900, 200, 40, 30


def frame(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    group = np.array(["low", "mid, or so", "high"])[np.searchsorted([-0.7, 0.7], x)]
    return pd.DataFrame({"x": x, "y": x + 0.5 * rng.standard_normal(rows), "n": rng.poisson(4.0, rows), "g": group})


def candidate_frame() -> pd.DataFrame:
    """Rows of which some repeat others, some leave the reference's range, and some combine what never goes along."""
    rng = np.random.default_rng(5)
    rows = frame(ROWS, 1)
    rows.loc[np.arange(FAR), "n"] = 60
    rows.loc[np.arange(300, 300 + OUTLIERS), "y"] = -4.0 * np.sign(rows.loc[300 : 300 + OUTLIERS - 1, "x"])
    rows = pd.concat([rows, rows.iloc[rng.integers(FAR, 300, REPEATS)]], ignore_index=True)
    rows = rows.iloc[np.concatenate([np.arange(500), 500 + rng.permutation(len(rows) - 500)])]
    return rows.reset_index(drop=True)


WRITERS = {
    "parquet": lambda rows, path: rows.to_parquet(path),
    "arrow": lambda rows, path: rows.to_feather(path),
    "csv": lambda rows, path: rows.to_csv(path, index=False),
    "tsv": lambda rows, path: rows.to_csv(path, index=False, sep="\t"),
    "jsonl": lambda rows, path: rows.to_json(path, orient="records", lines=True, double_precision=15),
}
READERS = {
    "parquet": pd.read_parquet,
    "arrow": pd.read_feather,
    "csv": pd.read_csv,
    "tsv": lambda path: pd.read_csv(path, sep="\t"),
    "jsonl": lambda path: pd.read_json(path, lines=True, precise_float=True),
}


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Path:
    """A folder with the candidate in every format, a reference, real rows, and a report with its row scores."""
    folder = tmp_path_factory.mktemp("case")
    rows = candidate_frame().round(6)
    for name, write in WRITERS.items():
        write(rows, folder / f"candidate.{name}")
    pq.write_table(pa.Table.from_pandas(frame(2_500, 0).round(6), preserve_index=False), folder / "reference.parquet")
    frame(300, 7).round(6)[["g", "n", "y", "x"]].to_csv(folder / "real.csv", index=False)
    sources = [open_source(folder / name) for name in ("candidate.parquet", "reference.parquet")]
    validate(*sources, Config(cascade=preset("none")), output=folder / "report", html=False)
    return folder


def run(case, output, *, candidate="candidate.parquet", real=None, report="report/report.json", **options):
    told, digest = load_report(case / report)
    return fix(
        open_source(case / candidate),
        told,
        digest,
        str(output),
        scores=(case / report).with_name("row_scores.parquet"),
        real=None if real is None else open_source(case / real),
        **options,
    )


def rows_of(ranges) -> list[int]:
    return [row for start, end in ranges for row in range(start, end)]


def action_of(manifest, kind):
    return next(action for action in manifest["actions"] if action["action"]["kind"] == kind)


def test_the_report_recommends_what_is_wrong(case):
    told, _ = load_report(case / "report" / "report.json")
    kinds = {item.action["kind"] for item in told.recommendations}
    assert kinds == {"deduplicate", "add_real_rows", "drop_rows", "clip"}
    assert [item.priority for item in told.recommendations] == [1, 2, 3, 4, 5]
    for item in told.recommendations[:2]:
        assert item.expected_risk_score is not None
        assert item.expected_risk_score.value is not None
        assert item.basis.startswith("the action done to the sample")


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_loses_what_is_to_go_and_nothing_else(case, tmp_path, name):
    given = case / f"candidate.{name}"
    before, bytes_before = READERS[name](given), given.read_bytes()
    output = tmp_path / f"clean.{name}"
    fixed = run(case, output, candidate=given.name)
    assert fixed.is_new
    assert given.read_bytes() == bytes_before
    manifest = fixed.manifest
    gone = sorted(row for action in manifest["actions"] for row in rows_of(action["removed"]))
    expected = before.drop(index=gone).reset_index(drop=True)
    clips = [action["action"] for action in manifest["actions"] if action["action"]["kind"] == "clip"]
    assert {clip["column"] for clip in clips} == {"n", "y"}
    for clip in clips:
        column = clip["column"]
        expected[column] = expected[column].clip(clip["lower"], clip["upper"]).astype(before[column].dtype)
    pd.testing.assert_frame_equal(READERS[name](output), expected)
    assert json.loads((tmp_path / f"clean.{name}.manifest.json").read_text()) == manifest
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"clean.{name}", f"clean.{name}.manifest.json"]


def test_what_goes_is_what_the_report_says(case, tmp_path):
    before = candidate_frame().round(6)
    manifest = run(case, tmp_path / "clean.parquet").manifest
    repeats = action_of(manifest, "deduplicate")
    removed = rows_of(repeats["removed"])
    again = before.index[before.duplicated()]
    assert set(removed) <= set(again)
    assert len(again) - len(removed) == repeats["action"]["keep_repeats"]
    scores = pq.read_table(case / "report" / "row_scores.parquet").to_pandas()
    suspicious = scores.row[(scores.confidence >= 0.8) & (scores.defect != "exact_duplicate")]
    # Exact copies go with the row that they repeat.
    copies = before.index[before.duplicated() & before.x.isin(before.x[suspicious])]
    suspicious = sorted({*suspicious, *copies})
    assert rows_of(action_of(manifest, "drop_rows")["removed"]) == sorted(set(suspicious) - set(removed))
    clip = action_of(manifest, "clip")
    beyond = before.index[before.n > clip["action"]["upper"]]
    assert rows_of(clip["changed"]) == sorted(set(beyond) - set(removed) - set(suspicious))
    told = action_of(manifest, "add_real_rows")
    assert (told["status"], told["rows_added"]) == ("skipped", 0)
    assert "--real FILE" in told["note"]
    source = open_source(tmp_path / "clean.parquet")
    assert (
        manifest["output"]["rows"]
        == source.num_rows
        == len(before) - sum(a["rows_removed"] for a in manifest["actions"])
    )
    again = validate(source, None, Config(cascade=preset("none")))
    assert manifest["output"]["fingerprint"] == again.dataset.fingerprint


def test_recommendations_are_ordered_by_their_measured_effect(case):
    told, _ = load_report(case / "report" / "report.json")
    values = [item.expected_risk_score.value for item in told.recommendations if item.expected_risk_score is not None]
    num_measured = sum(value is not None for value in values)
    assert num_measured == 3
    assert None not in values[:num_measured]
    # In whole points, below which it is the expected loss that tells.
    points = [np.floor(told.risk_score - value + 0.5) for value in values[:num_measured]]
    assert points == sorted(points, reverse=True)


def test_the_first_ones_are_measured_at_once_too(case):
    told, _ = load_report(case / "report" / "report.json")
    assert told.remedies is not None
    expected = [item.expected_risk_score for item in told.recommendations]
    values = [None if each is None else each.value for each in expected]
    able = [item for item, value in zip(told.recommendations, values, strict=True) if value is not None]
    # Those that were measured come first, three of them.
    assert [item.priority for item in able] == [1, 2, 3]
    real = next(item.priority for item in able if item.category == "add_real_rows")
    without = [item.priority for item in able if item.priority != real]
    assert sorted(each.priorities for each in told.remedies.together) == sorted([[1, 2], [1, 2, 3], without])
    most = max(told.remedies.together, key=lambda each: len(each.priorities))
    assert most.expected_risk_score.value is not None
    assert most.expected_risk_score.value <= min(value for value in values if value is not None) + 0.5
    assert most.basis.startswith("the actions done to the sample at once")


def test_what_is_measured_at_once_is_what_becomes_of_the_file(case, tmp_path, monkeypatch):
    """The sample of a short file is the file: just as many rows stay, and the mix has as many real ones."""
    asked: list[tuple] = []
    made = preview.preview

    def changed(actions, *rest):
        asked.append((actions, made(actions, *rest)))
        return asked[-1][1]

    monkeypatch.setattr(advice, "preview", changed)
    candidate, reference = (open_source(case / name) for name in ("candidate.parquet", "reference.parquet"))
    told = validate(candidate, reference, Config(cascade=preset("none")), output=tmp_path / "again", html=False)
    actions, measured = max(asked, key=lambda each: len(each[0]))
    assert len(actions) == 3
    manifest = run(case, tmp_path / "three.parquet", real="real.csv", top=3).manifest
    done = [parse_action(each["action"], "here") for each in manifest["actions"]]
    assert done == list(actions)
    assert told.recommendations == load_report(case / "report" / "report.json")[0].recommendations
    gone = {row for each in manifest["actions"] for row in rows_of(each["removed"])}
    assert set(np.flatnonzero(~measured.kept).tolist()) == gone
    wanted = next(action.rows for action in actions if isinstance(action, AddRealRows))
    assert measured.real_share == pytest.approx(wanted / (wanted + measured.kept.sum()))


def test_clipping_at_once_with_others_moves_the_columns(case):
    candidate, reference = (open_source(case / name) for name in ("candidate.parquet", "reference.parquet"))
    intake = take_in(candidate, reference, Config(cascade=preset("none")), 1, lambda *_: None)
    told, _ = load_report(case / "report" / "report.json")
    clips = [action for item in told.recommendations if isinstance(action := parse_action(item.action, "x"), Clip)]
    assert len(clips) == 2
    rows = len(intake.candidate)
    changed = preview.preview(clips, intake, Sampled.none_yet(rows), 0, 0)
    assert changed is not None
    assert changed.kept.all()
    for clip in clips:
        seen = changed.side.values[:, intake.columns.names.index(clip.column)]
        assert np.nanmin(seen) >= clip.lower
        assert np.nanmax(seen) <= clip.upper


def test_weights_of_the_sample_are_of_the_rows_that_stay_and_nothing_left_is_no_error(case):
    candidate, reference = (open_source(case / name) for name in ("candidate.parquet", "reference.parquet"))
    intake = take_in(candidate, reference, Config(cascade=preset("none")), 1, lambda *_: None)
    x, rows = intake.candidate_profile.sample.table["x"].to_numpy(), len(intake.candidate)
    low = x < np.quantile(x, 0.5)
    halves = [Condition("x", below=float(x[~low].min())), Condition("x", lower=float(x[~low].min()))]
    weigh = Reweight(tuple(Region((half,), 0.5) for half in halves), 4.0)
    gone = intake.candidate.rows[low][: low.sum() // 2]
    drop = DropRows(ranges=tuple((int(row), int(row) + 1) for row in gone))
    changed = preview.preview([weigh, drop], intake, Sampled.none_yet(rows), 0, 0)
    assert changed is not None
    assert not changed.kept[np.isin(intake.candidate.rows, gone)].any()
    # All of those that are left of the lower half, and half of the upper one.
    assert low[changed.kept].mean() == pytest.approx(0.5, abs=0.06)
    assert changed.kept[low].sum() == low.sum() - len(gone)
    nothing = preview.preview([DropRows(ranges=((0, 10**6),)), weigh], intake, Sampled.none_yet(rows), 0, 0)
    assert nothing is not None
    assert (nothing.kept.any(), nothing.added_share) == (False, 0.0)


@pytest.mark.parametrize("written", [3, 5])
def test_weights_of_another_number_of_rows_are_refused(tmp_path, written):
    candidate = open_source(pa.table({"x": [1.0, 2.0, 3.0, 4.0]}))
    strata = Reweight((Region((Condition("x", below=2.5),), 0.3),), 4.0)
    none = Edits(np.empty(0, np.int64))
    assert write_weights(candidate, strata, [0.6], none, 0, 4, tmp_path / "weights.parquet")["rows"] == 4
    with pytest.raises(VrError, match=f"4 weights belong to a new file of {written} rows"):
        write_weights(candidate, strata, [0.6], none, 0, written, tmp_path / "weights.parquet")


def test_top_executes_the_first_ones_only(case, tmp_path):
    manifest = run(case, tmp_path / "clean.parquet", top=1).manifest
    assert [action["priority"] for action in manifest["actions"]] == [1]


def test_real_rows_are_appended_in_the_candidates_columns(case, tmp_path):
    manifest = run(case, tmp_path / "clean.csv", candidate="candidate.csv", real="real.csv").manifest
    added = action_of(manifest, "add_real_rows")
    wanted = min(300, added["action"]["rows"])
    assert added["rows_added"] == wanted
    found, real = pd.read_csv(tmp_path / "clean.csv"), pd.read_csv(case / "real.csv")
    tail = found.iloc[-wanted:].reset_index(drop=True)
    assert list(found.columns) == ["x", "y", "n", "g"]
    # Some of the file's rows, each once, in its own order.
    places = [real.index[(real.x == row.x) & (real.y == row.y)][0] for row in tail.itertuples()]
    assert places == sorted(set(places))
    assert (real.g[places].to_numpy() == tail.g.to_numpy()).all()
    assert manifest["output"]["rows"] == len(found)


def test_a_draw_of_real_rows_is_exact_and_seeded(case):
    told, _ = load_report(case / "report" / "report.json")
    candidate, real = open_source(case / "candidate.parquet"), open_source(case / "reference.parquet")
    rows = RealRows.of(real, candidate, 700, told, ["x", "y", "n", "g"])
    assert "reference's own rows" in rows.document["note"]
    first, second = (pa.Table.from_batches(rows.batches()).to_pandas() for _ in range(2))
    assert len(first) == 700
    assert first.equals(second)
    assert set(first.x) <= set(frame(2_500, 0).round(6).x)
    # Evenly along the file: a quarter of the rows from each quarter of it, within five deviations.
    places = pd.Index(frame(2_500, 0).round(6).x).get_indexer(first.x)
    assert (np.diff(places) > 0).all()
    assert np.abs(np.bincount(places // 625) - 175).max() < 5 * 11


def test_the_same_command_again_does_nothing(case, tmp_path):
    first = run(case, tmp_path / "clean.parquet")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = run(case, tmp_path / "clean.parquet")
    assert not second.is_new
    assert second.manifest == first.manifest
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times
    with pytest.raises(AlreadyPublishedError, match=r"holds something else already.*--force"):
        run(case, tmp_path / "clean.parquet", top=1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times
    assert run(case, tmp_path / "clean.parquet", top=1, force=True).is_new


def test_one_that_was_killed_before_its_manifest_goes_on(case, tmp_path):
    first = run(case, tmp_path / "clean.parquet").manifest
    (tmp_path / "clean.parquet.manifest.json").unlink()
    again = run(case, tmp_path / "clean.parquet")
    assert again.is_new
    assert again.manifest == first


def test_a_file_of_somebody_else_is_not_replaced(case, tmp_path):
    (tmp_path / "clean.parquet").write_text("mine")
    with pytest.raises(AlreadyPublishedError, match="clean.parquet"):
        run(case, tmp_path / "clean.parquet")
    assert (tmp_path / "clean.parquet").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["clean.parquet"]


def test_a_fixed_dataset_is_not_fixed_by_the_same_report(case, tmp_path):
    run(case, tmp_path / "clean.parquet")
    told, digest = load_report(case / "report" / "report.json")
    with pytest.raises(DataError, match=r"is not the dataset that the report is of.*it was fixed already"):
        fix(
            open_source(tmp_path / "clean.parquet"),
            told,
            digest,
            str(tmp_path / "cleaner.parquet"),
            scores=case / "report" / "row_scores.parquet",
        )
    changed = candidate_frame().round(6)
    changed.loc[700, "x"] += 1e-6
    changed.to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="is not the dataset that the report is of"):
        run(case, tmp_path / "cleaner.parquet", candidate=tmp_path / "other.parquet")
    assert not (tmp_path / "cleaner.parquet").exists()


def test_its_own_report_finds_no_repeats_to_remove_any_more(case, tmp_path):
    run(case, tmp_path / "clean.parquet", top=1, report=edited(case, tmp_path, put_first("deduplicate")))
    sources = open_source(tmp_path / "clean.parquet"), open_source(case / "reference.parquet")
    told = validate(*sources, Config(cascade=preset("none")))
    assert "deduplicate" not in {item.category for item in told.recommendations}


@pytest.mark.parametrize("force", [False, True])
def test_the_input_is_never_written_over(case, tmp_path, force):
    copy = tmp_path / "data"
    copy.mkdir()
    shutil.copy(case / "candidate.parquet", copy / "1.parquet")
    (tmp_path / "link.parquet").symlink_to(copy / "1.parquet")
    before = (copy / "1.parquet").read_bytes()
    for output in (copy / "1.parquet", tmp_path / "link.parquet"):
        with pytest.raises(ConfigError, match="which is never written over"):
            run(case, output, candidate=copy / "1.parquet", force=force)
    for candidate in (copy, copy / "*.parquet"):
        with pytest.raises(ConfigError, match="would read the results as data"):
            run(case, copy / "clean.parquet", candidate=candidate, force=force)
    assert (copy / "1.parquet").read_bytes() == before
    assert [path.name for path in copy.iterdir()] == ["1.parquet"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["report/row_scores.parquet", "reference.parquet"])
def test_what_is_needed_as_it_is_is_never_written_over(case, tmp_path, name, force):
    copy = tmp_path / "case"
    shutil.copytree(case, copy)
    before = digest_of(copy / name)
    with pytest.raises(ConfigError, match="would be written over .*needed as it is"):
        run(copy, copy / name, needed=[str(copy / "reference.parquet")], force=force)
    assert digest_of(copy / name) == before


def test_what_is_replaced_stays_until_the_new_file_is_whole(case, tmp_path, monkeypatch):
    output = tmp_path / "clean.parquet"
    run(case, output, top=1)
    before = digest_of(output)

    def full(*args, **options):
        raise StoreError("failed (No space left on device)", where="there")

    monkeypatch.setattr("vr.data.store.publish.LocalStore.create", full)
    with pytest.raises(StoreError):
        run(case, output, force=True)
    assert digest_of(output) == before
    monkeypatch.undo()
    assert run(case, output, top=1).is_new is False
    assert run(case, output, force=True).manifest["output"]["sha256"] == digest_of(output) != before


def test_rows_that_differ_in_a_column_that_is_not_read_stay(tmp_path):
    labels = np.random.default_rng(0).integers(0, 3, 600)
    table = pa.table({"label": labels, "k": labels % 2, "vec": [[i, i + 1] for i in range(600)]})
    pq.write_table(table, tmp_path / "candidate.parquet")
    source = open_source(tmp_path / "candidate.parquet")
    validate(source, None, Config(cascade=preset("none")), output=tmp_path / "report", html=False)
    told, _ = load_report(tmp_path / "report" / "report.json")
    action = next(item.action for item in told.recommendations if item.category == "deduplicate")
    assert action["beside"] == ["vec"]
    with pytest.raises(ConfigError, match="nothing can be done: .*not compared .vec."):
        run(tmp_path, tmp_path / "clean.parquet")
    assert not (tmp_path / "clean.parquet").exists()


def test_a_parquet_file_of_spark_keeps_its_nanoseconds(tmp_path):
    stamps = pa.array(np.arange(50, dtype=np.int64) * 1_000_000_001 + 7, pa.timestamp("ns"))
    path = tmp_path / "spark.parquet"
    pq.write_table(pa.table({"at": stamps, "all": [[s] for s in stamps]}), path, use_deprecated_int96_timestamps=True)
    edits = Edits(np.arange(10), {}, tuple, lambda rows: None)
    assert rewrite(open_source(path), edits, tmp_path / "new.parquet") == 40
    assert pq.read_table(tmp_path / "new.parquet")["at"].combine_chunks().equals(stamps[10:])


def test_real_rows_that_an_encoding_lacks_are_refused(case, tmp_path):
    (tmp_path / "old.csv").write_bytes(b"g,x\n" + "caf\xe9,1\n".encode("latin-1") * 50)
    edits = Edits(
        np.empty(0, np.int64), {}, lambda: [pa.record_batch({"g": ["5 \u20ac"], "x": [1]})], lambda rows: None
    )
    with pytest.raises(DataError, match="old.csv: is latin-1, which has no .*save the dataset as UTF-8"):
        rewrite(open_source(tmp_path / "old.csv"), edits, tmp_path / "new.csv")


def test_a_compressed_name_is_not_for_what_is_compressed_inside(case, tmp_path):
    with pytest.raises(ConfigError, match="compressed inside"):
        run(case, tmp_path / "clean.parquet.gz")


def test_what_cannot_be_is_refused(case, tmp_path):
    output = tmp_path / "clean.parquet"
    with pytest.raises(ConfigError, match=r"--top: must lie in 1 to 5, which the report recommends, not 6"):
        run(case, output, top=6)
    with pytest.raises(ConfigError, match="is a folder"):
        run(case, tmp_path)
    with pytest.raises(ConfigError, match="does not end as a parquet file does"):
        run(case, tmp_path / "clean.csv")
    (tmp_path / "bare").mkdir()
    shutil.copy(case / "report" / "report.json", tmp_path / "bare" / "report.json")
    with pytest.raises(DataError, match=r"row_scores\.parquet: is missing, and tells which rows to drop"):
        run(case, output, report=tmp_path / "bare" / "report.json")
    assert not output.exists()
    pq.write_table(pa.table({"x": [1.0], "y": [1.0], "g": ["low"]}), tmp_path / "real.parquet")
    with pytest.raises(DataError, match=r"real\.parquet: lacks column 'n'"):
        run(case, output, real=tmp_path / "real.parquet")


def test_a_verdict_alone_has_nothing_to_fix(case, tmp_path):
    path = edited(case, tmp_path, lambda document: document.update(extent="verdict", recommendations=[]))
    with pytest.raises(ConfigError, match="verdict alone.*--verdict-only"):
        run(case, tmp_path / "clean.parquet", report=path)


def rescored(case, tmp_path, change=lambda table: table, **metadata) -> Path:
    """Returns the report beside which the row scores lie changed."""
    shutil.copy(case / "report" / "report.json", tmp_path / "report.json")
    table = change(pq.read_table(case / "report" / "row_scores.parquet"))
    told = table.schema.metadata | {f"vr.{key}".encode(): value for key, value in metadata.items()}
    table = table.replace_schema_metadata({key: value for key, value in told.items() if value is not None})
    pq.write_table(table, tmp_path / "row_scores.parquet")
    return tmp_path / "report.json"


@pytest.mark.parametrize("key", ["candidate", "reference", "seed"])
@pytest.mark.parametrize("value", [b"77", None])
def test_row_scores_of_another_run_are_refused(case, tmp_path, key, value):
    report = rescored(case, tmp_path, **{key: value})
    told = "77" if value else "nothing"
    with pytest.raises(DataError, match=rf"row_scores\.parquet: is not of the report's run: of {key} .* {told}"):
        run(case, tmp_path / "clean.parquet", report=report)
    assert not (tmp_path / "clean.parquet").exists()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda table: table.take([*range(10), 11, 10, *range(12, len(table))]), "does not number the report's rows"),
        (lambda table: table.slice(1), "does not hold the scores of the report's 1,100 rows"),
    ],
)
def test_row_scores_in_another_order_are_refused(case, tmp_path, change, match):
    with pytest.raises(DataError, match=rf"row_scores\.parquet: {match}"):
        run(case, tmp_path / "clean.parquet", report=rescored(case, tmp_path, change))


def test_other_row_scores_make_another_file(case, tmp_path):
    scores = case / "report" / "row_scores.parquet"
    manifest = run(case, tmp_path / "clean.parquet").manifest
    assert manifest["report"]["row_scores_sha256"] == digest_of(scores)
    confidence = pa.array(np.zeros(ROWS + REPEATS), pa.float32())
    report = rescored(case, tmp_path, lambda table: table.set_column(2, "confidence", confidence))
    with pytest.raises(AlreadyPublishedError, match="holds something else already"):
        run(case, tmp_path / "clean.parquet", report=report)
    # Where no action reads them they decide nothing.
    report = edited(case, tmp_path, put_first("deduplicate"))
    first = run(case, tmp_path / "first.parquet", top=1, report=report).manifest
    assert first["report"]["row_scores_sha256"] is None
    shutil.copy(scores, tmp_path / "row_scores.parquet")
    assert not run(case, tmp_path / "first.parquet", top=1, report=report).is_new


def test_real_rows_of_other_kinds_of_values_are_refused(case, tmp_path):
    text = frame(50, 9).assign(n=lambda rows: rows.n.map("n{}".format))
    text.to_csv(tmp_path / "real.csv", index=False)
    with pytest.raises(DataError, match=r"real\.csv, column 'n': is string, and int64 in the candidate"):
        run(case, tmp_path / "clean.csv", candidate="candidate.csv", real=tmp_path / "real.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["real.csv"]


def with_real_rows(case, tmp_path, old: str, real: pa.Table, name: str = "old.csv"):
    """Writes `old` with all of `real` appended, and returns the new file as a source."""
    (tmp_path / name).write_text(old)
    pq.write_table(real, tmp_path / "real.parquet")
    told, _ = load_report(case / "report" / "report.json")
    candidate = open_source(tmp_path / name)
    rows = RealRows.of(open_source(tmp_path / "real.parquet"), candidate, len(real), told, real.column_names)
    rewrite(candidate, Edits(np.empty(0, np.int64), {}, rows.batches), tmp_path / f"new-{name}")
    return candidate, open_source(tmp_path / f"new-{name}")


TEXTS = {
    "old.csv": "day,at,n,g\n2024-01-01,2024-01-01 10:00:00,3,a\n2024-01-02,2024-01-02 11:30:00,4,b\n",
    "old.jsonl": '{"day": "2024-01-01 00:00:00", "at": "2024-01-01 10:00:00", "n": 3, "g": "a"}\n',
}
MIDNIGHT, MORNING = datetime(2024, 5, 1), datetime(2024, 5, 1, 9, 15)


@pytest.mark.parametrize("name", TEXTS)
def test_added_rows_leave_a_column_its_type(case, tmp_path, name):
    real = pa.table(
        {
            "day": pa.array([MIDNIGHT, None], pa.timestamp("us")),
            "at": pa.array([MORNING, MIDNIGHT], pa.timestamp("ns")),
            "n": [5.0, 6.0],
            "g": pa.array(["a", "c"]).dictionary_encode(),
        }
    )
    before, after = with_real_rows(case, tmp_path, TEXTS[name], real, name)
    assert after.schema.types == before.schema.types
    rows = pa.Table.from_batches(after.batches(["day", "at", "n", "g"]))
    added = rows.slice(len(rows) - 2).cast(
        pa.schema({field.name: field.type for field in real.schema} | {"g": pa.string()})
    )
    assert added.to_pydict() == real.to_pydict()


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [
        ("day", pa.array([MORNING], pa.timestamp("us")), "values would be lost"),
        ("at", pa.array([MORNING], pa.timestamp("us", "UTC")), "the time zone would be lost"),
        ("n", pa.array([2.5]), "truncated"),
    ],
)
def test_added_values_that_a_column_cannot_hold_are_refused(case, tmp_path, column, values, why):
    real = pa.table({"day": [MIDNIGHT], "at": [MORNING], "n": [5], "g": ["a"]})
    real = real.set_column(real.column_names.index(column), column, values)
    with pytest.raises(DataError, match=rf"real\.parquet, column '{column}': is .* does not fit .*{why}"):
        with_real_rows(case, tmp_path, TEXTS["old.csv"], real)


def edited(case, tmp_path, change) -> Path:
    document = json.loads((case / "report" / "report.json").read_text())
    change(document)
    (tmp_path / "report.json").write_text(json.dumps(document))
    return tmp_path / "report.json"


def put_first(kind):
    """Returns what makes the action of this kind the first of a report."""

    def change(document):
        ordered = sorted(
            document["recommendations"], key=lambda item: (item["action"]["kind"] != kind, item["priority"])
        )
        for priority, item in enumerate(ordered, 1):
            item["priority"] = priority

    return change


@pytest.mark.parametrize("version", ["1.2.0", "1.99.0", "2.0.0", "x"])
def test_a_report_of_an_unknown_schema_is_refused(case, tmp_path, version):
    path = edited(case, tmp_path, lambda document: document.update(schema_version=version))
    with pytest.raises(ConfigError, match="whose actions this vr does not execute|is no report of vr"):
        load_report(path)


def test_an_unknown_action_and_one_without_what_it_needs_are_refused(case, tmp_path):
    def strange(document):
        document["recommendations"][0]["action"]["kind"] = "shuffle"

    with pytest.raises(DataError, match=r"recommendation 1: kind 'shuffle' is not known"):
        run(case, tmp_path / "clean.parquet", report=edited(case, tmp_path, strange))

    def only_real(document):
        kept = [item for item in document["recommendations"] if item["category"] == "add_real_rows"]
        document["recommendations"] = kept

    with pytest.raises(ConfigError, match=r"nothing can be done: .*give them with --real FILE"):
        run(case, tmp_path / "clean.parquet", report=edited(case, tmp_path, only_real))

    def twice(document):
        document["recommendations"] *= 2

    with pytest.raises(DataError, match="more than once"):
        run(case, tmp_path / "clean.parquet", report=edited(case, tmp_path, twice))

    def everything(document):
        document["recommendations"][0]["action"] = {"version": 1, "kind": "drop_rows", "ranges": [[0, ROWS + REPEATS]]}

    with pytest.raises(DataError, match="has nothing left after these actions"):
        run(case, tmp_path / "clean.parquet", report=edited(case, tmp_path, everything), top=1)
    none = edited(case, tmp_path, lambda document: document.update(recommendations=[]))
    with pytest.raises(ConfigError, match="recommends nothing"):
        run(case, tmp_path / "clean.parquet", report=none)


def test_a_file_that_is_not_what_it_should_be_is_not_published(case, tmp_path, monkeypatch):
    from vr.pipeline import fix as module

    real = module.rewrite
    monkeypatch.setattr(module, "rewrite", lambda *a: _swapped(real, *a))
    with pytest.raises(VrError, match="nothing was published"):
        run(case, tmp_path / "clean.parquet")
    assert list(tmp_path.iterdir()) == []


def _swapped(real, source, edits, path):
    rows = real(source, edits, path)
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table.slice(1, 1), table.slice(0, 1), table.slice(2)]), path)
    return rows


def test_ranges_are_compact():
    assert compact(np.array([], np.int64)) == []
    assert compact(np.array([3])) == [[3, 4]]
    assert compact(np.array([0, 1, 2, 5, 7, 8])) == [[0, 3], [5, 6], [7, 9]]
