"""A mix in other shares than the reference's: weights that bring it back, written beside the file by `vr fix`."""

import json

import numpy as np
import pandas as pd
import pytest

from vr.cli import main
from vr.data.source import open_source
from vr.data.store.publish import LocalStore
from vr.recommendation.regions import parse_region, region_of

ROWS = 2_000


def frame(rows, seed, shares=(0.5, 0.3, 0.2)):
    rng = np.random.default_rng(seed)
    city = rng.choice(["Rome", "Oslo", "Lima"], rows, p=shares)
    age = rng.integers(18, 90, rows)
    income = np.exp(9.0 + 0.02 * age + (city == "Lima") + 0.3 * rng.standard_normal(rows))
    spent = income * (0.3 + 0.4 * (city == "Rome")) + 500.0 * rng.standard_normal(rows)
    return pd.DataFrame({"age": age, "city": city, "income": income.round(2), "spent": spent.round(2)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A candidate whose cities are mixed otherwise, its reference, real rows, and a report."""
    place = tmp_path_factory.mktemp("weights")
    frame(ROWS, 1, (0.25, 0.25, 0.5)).to_csv(place / "made.csv", index=False)
    frame(ROWS, 0).to_csv(place / "reference.csv", index=False)
    frame(ROWS, 7).to_csv(place / "real.csv", index=False)
    assert validated(place, place / "made.csv", place / "report")["verdict"] != "approve"
    return place


def validated(folder, dataset, output):
    words = [str(dataset), "-r", str(folder / "reference.csv"), "-o", str(output), "-q", "cascade=none"]
    assert main(["validate", *words]) == 0
    return json.loads((output / "report.json").read_text())


def report(folder):
    return json.loads((folder / "report" / "report.json").read_text())


def fix(folder, output, kinds, *words, edit=lambda recommendations: None, code=0):
    """Executes the recommendations of some kinds, and returns the manifest that is there then."""
    told = report(folder)
    only = [item for item in told["recommendations"] if item["category"] in kinds]
    told["recommendations"] = [{**item, "priority": i} for i, item in enumerate(only, 1)]
    edit(told["recommendations"])
    (output.parent / "report.json").write_text(json.dumps(told))
    scores = (folder / "report" / "row_scores.parquet").read_bytes()
    (output.parent / "row_scores.parquet").write_bytes(scores)
    given = ["--report", str(output.parent / "report.json"), "-o", str(output), "-q", *words]
    assert main(["fix", str(folder / "made.csv"), *given]) == code
    return json.loads(output.with_name(f"{output.name}.manifest.json").read_text())


def test_weights_lower_the_risk_of_a_shifted_mix(folder, tmp_path):
    told = next(item for item in report(folder)["recommendations"] if item["category"] == "reweight")
    before = report(folder)["risk_score"]
    assert told["expected_risk_score"]["value"] < 0.3 * before
    assert "the strata were found on the same reference rows" in told["basis"]
    assert told["affected_rows"] == ROWS
    assert ROWS / 2 < told["cost"]["effective_rows"] < ROWS
    manifest = fix(folder, tmp_path / "clean.csv", ["reweight"])
    (action,) = manifest["actions"]
    assert (action["status"], action["rows_weighed"]) == ("done", ROWS)
    # The rows are those of the input; their weights are beside them.
    made = pd.read_csv(folder / "made.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "clean.csv"), made)
    weights = pd.read_parquet(tmp_path / "clean.csv.weights.parquet")
    assert weights.row.tolist() == list(range(ROWS))
    assert weights.weight.mean() == pytest.approx(1.0, abs=1e-9)
    said = manifest["weights"]
    assert (said["name"], said["rows"]) == ("clean.csv.weights.parquet", ROWS)
    assert said["least"] == pytest.approx(weights.weight.min(), abs=1e-6)
    assert said["greatest"] == pytest.approx(weights.weight.max(), abs=1e-6)
    assert said["effective_rows"] == round(ROWS**2 / (weights.weight**2).sum())
    weighed = weights.weight.groupby(made.city).sum() / ROWS
    for city, share in zip(["Rome", "Oslo", "Lima"], [0.5, 0.3, 0.2], strict=True):
        assert weighed[city] == pytest.approx(share, abs=0.05)
    # Rows drawn by their weights, none of them twice, are as near to the reference as was foretold.
    stays = np.random.default_rng(0).random(ROWS) < weights.weight / weights.weight.max()
    made[stays].to_csv(tmp_path / "drawn.csv", index=False)
    after = validated(folder, tmp_path / "drawn.csv", tmp_path / "after")
    assert after["verdict"] == "approve"
    assert after["risk_score"] < 0.3 * before


def test_rows_that_are_added_weigh_one_and_rows_that_go_weigh_nothing(folder, tmp_path):
    kinds = ["reweight", "drop_rows", "add_real_rows"]
    manifest = fix(folder, tmp_path / "clean.csv", kinds, "--real", str(folder / "real.csv"))
    done = {action["action"]["kind"]: action for action in manifest["actions"]}
    weights = pd.read_parquet(tmp_path / "clean.csv.weights.parquet").weight
    stays = ROWS - sum(action["rows_removed"] for action in manifest["actions"])
    assert done["reweight"]["rows_weighed"] == stays < ROWS
    assert len(weights) == manifest["output"]["rows"] == stays + done["add_real_rows"]["rows_added"]
    assert (weights[stays:] == 1.0).all()
    assert weights[:stays].mean() == pytest.approx(1.0, abs=1e-9)


def test_weights_bring_the_rows_that_stay_to_their_shares_whatever_goes(folder, tmp_path):
    made = pd.read_csv(folder / "made.csv")
    gone = np.flatnonzero(made.city == "Lima")[:600]

    def drop(recommendations):
        for item in recommendations:
            if item["category"] == "drop_rows":
                ranges = [[int(row), int(row) + 1] for row in gone]
                item["action"] = {"version": 1, "kind": "drop_rows", "ranges": ranges}

    manifest = fix(folder, tmp_path / "clean.csv", ["reweight", "drop_rows"], edit=drop)
    told = next(action["action"] for action in manifest["actions"] if action["action"]["kind"] == "reweight")
    weights = pd.read_parquet(tmp_path / "clean.csv.weights.parquet").weight.to_numpy()
    left = open_source(tmp_path / "clean.csv")
    assert left.num_rows in (None, ROWS - len(gone))
    strata = [parse_region(region) for region in told["strata"]]
    place = np.concatenate([region_of(batch, strata) for batch in left.batches()])
    shares = np.array([region.share for region in strata])
    inside = place >= 0
    found = np.bincount(place[inside], weights[inside]) / weights[inside].sum()
    assert found == pytest.approx(shares / shares.sum(), abs=1e-9)


def test_the_same_command_again_does_nothing_and_damaged_weights_are_written_again(folder, tmp_path, capsys):
    output = tmp_path / "clean.csv"
    first = fix(folder, output, ["reweight"])
    capsys.readouterr()
    assert fix(folder, output, ["reweight"]) == first
    assert "is there already" in capsys.readouterr().err
    place = tmp_path / "clean.csv.weights.parquet"
    place.write_bytes(b"damaged")
    assert fix(folder, output, ["reweight"], "--force") == first
    assert len(pd.read_parquet(place)) == ROWS
    # Without the action none are left behind, which would be taken for those of the new file.
    assert fix(folder, output, ["drop_rows"], "--force")["weights"] is None
    assert not place.exists()


@pytest.mark.parametrize("kinds", [["drop_rows"], ["reweight", "drop_rows"]])
@pytest.mark.parametrize("failing", ["clean.csv.weights.parquet", "clean.csv.manifest.json"])
def test_old_weights_are_never_beside_a_new_file(folder, tmp_path, monkeypatch, kinds, failing):
    fix(folder, tmp_path / "clean.csv", ["reweight"])
    place, create = tmp_path / "clean.csv.weights.parquet", LocalStore.create
    old = place.read_bytes()

    def killed(store, name, *args, **options):
        if name == failing:
            raise KeyboardInterrupt
        return create(store, name, *args, **options)

    monkeypatch.setattr(LocalStore, "create", killed)
    whole = kinds == ["drop_rows"] and failing.endswith(".weights.parquet")
    fix(folder, tmp_path / "clean.csv", kinds, "--force", code=0 if whole else 130)
    assert len(pd.read_csv(tmp_path / "clean.csv")) < ROWS
    assert not place.exists() or place.read_bytes() != old


def test_a_mix_as_the_reference_has_it_gets_no_weights(folder, tmp_path):
    fresh = frame(ROWS, 3)
    fresh.loc[:600, "spent"] = np.random.default_rng(0).permutation(fresh.loc[:600, "spent"])
    fresh.to_csv(tmp_path / "fresh.csv", index=False)
    told = validated(folder, tmp_path / "fresh.csv", tmp_path / "report")
    assert told["verdict"] != "approve"
    assert "reweight" not in {item["category"] for item in told["recommendations"]}
