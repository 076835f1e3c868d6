"""The whole pipeline: the same report whatever the batches, files whole, finished and foreign folders, odd sizes."""

import importlib.metadata
import json
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vr.cascade.config import preset
from vr.core.errors import CheckpointError, ConfigError
from vr.core.installed import version_of
from vr.data.source import open_source
from vr.pipeline import validate as module
from vr.pipeline.config import Config
from vr.pipeline.extent import NOT_ASKED, Extent
from vr.pipeline.validate import validate


def table(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    return pa.table(
        {"x": x, "y": x + rng.standard_normal(rows), "g": np.array(["a", "b", "c"])[rng.integers(0, 3, rows)]}
    )


def config(**changes):
    settings = Config(cascade=preset("none"), **changes)
    return settings


@pytest.fixture
def files(tmp_path):
    paths = {}
    for name, rows, seed in (("candidate", 700, 1), ("reference", 900, 0)):
        paths[name] = tmp_path / f"{name}.parquet"
        pq.write_table(table(rows, seed), paths[name])
    return paths


def run(files, output=None, settings=None, **options):
    sources = [open_source(str(files[name])) for name in ("candidate", "reference")]
    return validate(*sources, settings or config(), output=output, html=False, **options)


def without_run(report):
    document = report.to_dict()
    del document["run"]
    return document


def test_the_same_report_twice_and_with_other_batches(files, tmp_path):
    first = run(files, tmp_path / "a")
    other = config()
    other.data.batch_rows, other.reference.batch_rows = 64, 101
    second = run(files, tmp_path / "b", other)
    assert without_run(first) == without_run(second)
    scores = [pq.read_table(tmp_path / name / "row_scores.parquet") for name in "ab"]
    assert scores[0].equals(scores[1])
    assert scores[0]["row"].to_pylist() == list(range(700))


def test_the_same_report_twice_with_trained_proxies(files):
    other = Config(cascade=preset("smoke"))
    other.data.batch_rows, other.engine.threads, other.cascade.threads = 97, 1, 1
    first, second = run(files, settings=Config(cascade=preset("smoke"))), run(files, settings=other)
    assert without_run(first) == without_run(second)
    assert set(first.run.cascade_seconds) == {"tier_1", "tier_2"}


def test_a_finished_folder_is_returned_and_a_foreign_one_refused(files, tmp_path):
    first = run(files, tmp_path / "out")
    assert run(files, tmp_path / "out").run == first.run
    assert run(files, tmp_path / "out", force=True).run != first.run
    with pytest.raises(ConfigError, match="--force"):
        run(files, tmp_path / "out", config(seed=5))
    (tmp_path / "out" / "report.json").write_text("{")
    with pytest.raises(CheckpointError, match="--force"):
        run(files, tmp_path / "out")


def test_nothing_half_written_is_left_by_a_failure(files, tmp_path, monkeypatch):
    from vr.pipeline import validate as module

    def fail(*args, **kwargs):
        raise RuntimeError("planted")

    monkeypatch.setattr(module.assemble, "localization_section", fail)
    with pytest.raises(RuntimeError, match="planted"):
        run(files, tmp_path / "out")
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left <= {".vr", "row_scores.parquet"}
    monkeypatch.undo()
    assert run(files, tmp_path / "out").verdict == "approve"


def test_a_package_without_a_version_does_not_lose_the_report(files, monkeypatch, tmp_path, request):
    version = importlib.metadata.version

    def lacking(name):
        if name in ("faiss-cpu", "scikit-learn", "numpy", "pyarrow"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", lacking)
    version_of.cache_clear()
    request.addfinalizer(version_of.cache_clear)
    # In a folder, where the passes keep what they have read, by version.
    versions = run(files, tmp_path / "out").run.versions
    assert "faiss-cpu" not in versions
    assert {"vr", "python", "jax"} <= set(versions)


def test_a_damaged_saved_stage_is_as_good_as_absent(tmp_path):
    from vr.pipeline.run_folder import RunFolder

    stages = RunFolder(tmp_path / "out", {"a": 1}).stages("cascade", "key")
    stages["tier_1"] = {"x": 1.5}
    again = RunFolder(tmp_path / "out", {"a": 1}).stages("cascade", "key")
    assert again["tier_1"] == {"x": 1.5}
    path = next((tmp_path / "out" / ".vr").glob("cascade-*/tier_1.json"))
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"body": document["body"].replace("1.5", "2.5")}))
    assert "tier_1" not in RunFolder(tmp_path / "out", {"a": 1}).stages("cascade", "key")


def test_rows_of_the_reference_do_not_judge_the_candidate_that_holds_them(tmp_path):
    reference, fresh = table(900, 0), table(400, 2)
    junk = pa.table({name: column.to_numpy()[::-1] for name, column in zip("xyg", table(400, 3).columns, strict=True)})
    junk = junk.set_column(1, "y", pa.array(np.random.default_rng(0).permutation(junk["y"].to_numpy())))
    risks = []
    for real in (fresh, reference.slice(0, 400)):
        report = validate(open_source(pa.concat_tables([real, junk])), open_source(reference), config(), html=False)
        risks.append(report.risk_score)
        noted = any("occur in the candidate" in note for note in report.dataset.notes)
        assert noted == (real is not fresh)
    assert abs(risks[0] - risks[1]) < 25
    whole = validate(open_source(pa.concat_tables([reference, junk])), open_source(reference), config(), html=False)
    assert whole.verdict == "review"
    assert "nothing is left to judge" in (whole.dimensions["distribution_fidelity"].reason or "")
    same = validate(open_source(reference), open_source(reference), config(), html=False)
    assert same.verdict == "approve"


def test_columns_that_could_not_be_compared_withhold_the_approval():
    reference, fresh = table(900, 0), table(700, 1)
    report = validate(open_source(fresh.drop_columns(["g"])), open_source(reference), config(), html=False)
    assert report.verdict == "review"
    assert "could not be compared (g)" in report.verdict_reason
    settings = config()
    settings.data.types = {"g": "ignore"}
    assert validate(open_source(fresh), open_source(reference), settings, html=False).verdict == "approve"


def test_infinities_that_the_reference_lacks_withhold_the_approval():
    fresh = table(700, 1)
    x = fresh["x"].to_numpy().copy()
    x[5] = np.inf
    infinite = fresh.set_column(0, "x", pa.array(x))
    report = validate(open_source(infinite), open_source(table(900, 0)), config(), html=False)
    assert report.verdict == "review"
    assert "column 'x' has infinite values" in report.verdict_reason


def test_one_row_and_no_reference_are_reviewed_with_reasons():
    one = validate(open_source(table(1, 0)), open_source(table(500, 1)), config(), html=False)
    assert one.verdict == "review"
    assert one.risk_score is None
    assert one.collapse_probability.value is None
    assert one.collapse_probability.reason
    assert "too few rows" in (one.dimensions["distribution_fidelity"].reason or "")
    alone = validate(open_source(table(300, 0)), None, config(), html=False)
    assert alone.verdict == "review"
    assert alone.reference is None
    assert len(alone.not_measured) == 8


NOT_OF_A_VERDICT = {"extent", "diversity", "localization", "recommendations", "remedies", "run"}


def verdict_only(files, *, with_reference=True, settings=None, output=None, **options):
    sources = [open_source(str(files[name])) for name in ("candidate", "reference")]
    reference = sources[1] if with_reference else None
    settings = settings or config()
    return validate(sources[0], reference, settings, output=output, extent=Extent.verdict, **options)


@pytest.mark.parametrize(
    ("with_reference", "settings"),
    [
        (True, config()),
        (False, config()),
        (True, config(targets=["y"])),
        (True, Config(cascade=preset("smoke"))),
    ],
    ids=["statistics", "alone", "targets", "trained"],
)
def test_a_verdict_alone_is_that_of_the_whole_field_by_field(files, with_reference, settings):
    reference = open_source(str(files["reference"])) if with_reference else None
    whole = without_run(validate(open_source(str(files["candidate"])), reference, settings, html=False))
    alone = without_run(verdict_only(files, with_reference=with_reference, settings=settings))
    assert whole.keys() == alone.keys()
    for name in whole.keys() - NOT_OF_A_VERDICT:
        assert alone[name] == whole[name], name
    assert (alone["extent"], whole["extent"]) == ("verdict", "whole")
    reasons = [alone[name]["reason"] for name in ("diversity", "localization")]
    reasons += [alone["remedies"][name]["reason"] for name in ("mix", "forecast")]
    assert reasons == [NOT_ASKED] * 4
    assert alone["localization"]["status"] == "not_measured"


def test_a_verdict_alone_writes_no_scores_and_no_sample(files, tmp_path):
    report = verdict_only(files, output=tmp_path / "out", sample_to=str(tmp_path / "sample.parquet"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".vr", "report.json", "report.html"}
    assert not (tmp_path / "sample.parquet").exists()
    assert report.stratified_sample.status == "not_measured"
    assert [stage["stage"] for stage in report.run.stages] == ["profile", "prescreen", "cascade", "statistics"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Not asked for:" in page
    assert "No action is recommended" not in page
    assert "Nothing stands out" not in page


def test_over_a_verdict_the_whole_is_computed_and_over_the_whole_nothing(files, tmp_path):
    alone = verdict_only(files, output=tmp_path / "out")
    assert verdict_only(files, output=tmp_path / "out").run == alone.run
    whole = run(files, tmp_path / "out")
    assert whole.extent == "whole"
    assert (tmp_path / "out" / "row_scores.parquet").exists()
    assert verdict_only(files, output=tmp_path / "out").run == whole.run


def test_row_evidence_is_fitted_from_when_the_rows_are_known(files, monkeypatch):
    begun, screen, fit = threading.Event(), module.pre_screen, module.row_evidence

    def fitted(*arguments):
        begun.set()
        return fit(*arguments)

    def screened(*arguments):
        assert begun.wait(60)
        return screen(*arguments)

    plain = run(files)
    monkeypatch.setattr(module, "row_evidence", fitted)
    monkeypatch.setattr(module, "pre_screen", screened)
    settings = config()
    settings.engine.threads = 2
    assert without_run(run(files, settings=settings))["localization"] == without_run(plain)["localization"]
