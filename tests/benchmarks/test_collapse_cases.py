"""The study's cases: unique, spread over everything, from disjoint rows; and one split made from end to end."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.collapse import stages
from benchmarks.collapse.cases import Parts, cases_of, make_cases, parts_of, splits
from synthetic.damage import DAMAGES
from synthetic.families import FAMILIES
from synthetic.harmless import HARMLESS

ALL = splits()


def test_there_are_enough_cases_and_each_has_a_name_of_its_own():
    cases = [case for split in ALL for case in cases_of(split)]
    assert len({case.id for case in cases}) == len(cases) >= 600
    assert len({case.dataset for case in cases}) >= 16


def test_every_source_comes_up_on_many_datasets():
    of = Counter(case.source for split in ALL for case in cases_of(split))
    for name in [*FAMILIES, *DAMAGES, *HARMLESS]:
        assert of[name] >= 15
    generations = Counter(case.generation for split in ALL for case in cases_of(split) if case.kind == "lineage")
    assert set(generations) == {1, 2, 4, 8, 16}
    workflows = Counter(case.workflow for split in ALL for case in cases_of(split) if case.kind == "lineage")
    assert min(workflows[name] for name in ("replace", "mix", "accumulate")) >= 50


def test_a_split_is_the_same_whatever_is_asked_for():
    assert splits(["fair"]) == [split for split in ALL if split.dataset == "fair"]
    assert stages.first_round(ALL)[0].dataset == ALL[0].dataset
    assert len(stages.first_round(ALL)) == len({split.dataset for split in ALL})


@pytest.mark.parametrize("name", ["fair-0", "wagepan-1", "breast_cancer-0"])
def test_parts_are_disjoint_rows(name):
    split = next(split for split in ALL if split.name == name)
    parts = parts_of(split)
    assert parts.train.num_rows == parts.fresh.num_rows == split.candidate_rows
    assert parts.reference.num_rows == split.reference_rows
    assert parts.test.num_rows >= 30
    from benchmarks.datasets import load

    total = parts.train.num_rows + parts.test.num_rows + parts.pool.num_rows
    assert total == load(split.dataset).num_rows
    assert parts.pool.slice(0, split.reference_rows).equals(parts.reference)


def test_labels_and_features_of_one_split(monkeypatch):
    split = min((s for s in ALL if s.dataset == "Bananas"), key=lambda s: s.candidate_rows)
    whole = parts_of(split)
    parts = Parts(whole.reference, whole.fresh, whole.train, whole.test.slice(0, 600), whole.pool)
    wanted = {"real", "independent", "permute_rows"}
    monkeypatch.setattr("benchmarks.collapse.cases.cases_of", lambda s: [c for c in cases_of(s) if c.source in wanted])
    made = list(make_cases(split, parts))
    labels = {row["case"]: row for row in stages.labels(split, parts, made)}
    assert set(labels) == {case.id for case, _ in made}
    for row in labels.values():
        assert np.isfinite(row["harm"])
    assert labels[f"{split.name}/real"]["label"] != "collapsed"
    features = stages.features(split, parts, made[:2])
    for row in features:
        assert row["entropy_stability.coverage_deficit"] is not None
        assert row["generalization_gap.log_ratio:null_std"] > 0
        assert row["tier_2.log_ratio_all"] is not None


def test_a_stage_makes_only_the_cases_that_are_missing(monkeypatch, tmp_path):
    split = next(s for s in ALL if s.name == "fair-1")
    made: list[list[str]] = []

    def stage(split, parts, cases):
        made.append([case.id for case, _ in cases])
        return [{"case": case.id, "rows": table.num_rows} for case, table in cases]

    monkeypatch.setattr(stages, "WORK", tmp_path)
    monkeypatch.setitem(stages.STAGES, "sizes", (1, stage))
    few = [case for case in cases_of(split) if case.kind in ("real", "harmless")]
    for now in (few[:2], few[1:]):
        monkeypatch.setattr(stages, "cases_of", lambda split, now=now: now)
        stages._run("sizes", split)
        assert not stages.missing_cases("sizes", split)
        assert stages.stage_table("sizes", [split])["case"].to_pylist() == [case.id for case in now]
    assert made == [[case.id for case in few[:2]], [case.id for case in few[2:]]]


def test_every_stage_sees_the_reference_that_the_first_one_saw(monkeypatch, tmp_path):
    monkeypatch.setattr(stages, "WORK", tmp_path)
    split = next(s for s in ALL if s.name == "fair-1")
    parts = parts_of(split)
    first = stages.cached_reference(split, parts)
    assert first.equals(parts.reference)
    # Another environment reads the dataset a little differently; the stage does not see it.
    later = stages.cached_reference(split, replace(parts, reference=parts.reference.slice(1)))
    assert later.equals(first)


def test_a_case_made_from_the_reference_holds_its_rows_and_no_others():
    split = next(s for s in ALL if s.name == "wagepan-1")
    parts = parts_of(split)
    seen = [case for case in cases_of(split) if case.seen]
    assert Counter(case.kind for case in seen) == {"lineage": 7, "damage": 2, "harmless": 1}
    mixed = [case for case in seen if case.workflow == "mix"]
    reference = {tuple(row.values()) for row in parts.reference.to_pylist()}
    train = {tuple(row.values()) for row in parts.train.to_pylist()}
    ((case, table),) = make_cases(split, parts, mixed)
    rows = [tuple(row.values()) for row in table.to_pylist()]
    assert table.num_rows == split.candidate_rows
    assert case.id.endswith("/seen")
    # The real rows in it are the reference's; a generator may hit one of the others by chance.
    assert np.mean([row in reference for row in rows]) > 0.05 > np.mean([row in train - reference for row in rows])


def test_committed_rows_are_taken_over_once_and_only_from_the_same_version(monkeypatch, tmp_path):
    split = next(s for s in ALL if s.name == "fair-1")
    few = cases_of(split)[:3]
    monkeypatch.setattr(stages, "WORK", tmp_path / "work")
    monkeypatch.setitem(stages.STAGES, "sizes", (7, lambda *args: []))
    monkeypatch.setattr(stages, "cases_of", lambda split: few)
    table = pa.table({"case": [case.id for case in few[:2]], "rows": [1, 2]})
    pq.write_table(table.replace_schema_metadata(stages.made_by("sizes")), tmp_path / "sizes.parquet")
    assert stages.take_committed("sizes", [split], tmp_path) == 2
    assert stages.take_committed("sizes", [split], tmp_path) == 0
    assert [case.id for case in stages.missing_cases("sizes", split)] == [few[2].id]
    for other in ({"stage_version": "6"}, {"splits": "others"}, {"versions": "{}"}):
        made = table.replace_schema_metadata(stages.made_by("sizes") | other)
        pq.write_table(made, tmp_path / "sizes.parquet")
        with pytest.raises(ValueError, match=f"made with {next(iter(other))}"):
            stages.take_committed("sizes", [split], tmp_path)
