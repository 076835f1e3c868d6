"""A mode that a candidate lacks: found, and filled by `vr fix` with real rows that lie there; the risk falls."""

import json

import numpy as np
import pandas as pd
import pytest

from vr.cli import main

ROWS = 1_500


def frame(rows, seed):
    rng = np.random.default_rng(seed)
    city = rng.choice(["Rome", "Oslo", "Lima"], rows, p=[0.5, 0.3, 0.2])
    age = rng.integers(18, 90, rows)
    income = np.exp(9.0 + 0.02 * age + (city == "Lima") + 0.3 * rng.standard_normal(rows))
    spent = income * (0.3 + 0.4 * (city == "Rome")) + 500.0 * rng.standard_normal(rows)
    return pd.DataFrame({"age": age, "city": city, "income": income.round(2), "spent": spent.round(2)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A candidate without a city, its reference, real rows, and a report."""
    place = tmp_path_factory.mktemp("fill")
    made = frame(2 * ROWS, 1)
    made[made.city != "Lima"].head(ROWS).to_csv(place / "made.csv", index=False)
    frame(2_000, 0).to_csv(place / "reference.csv", index=False)
    frame(3_000, 7).to_csv(place / "real.csv", index=False)
    words = [str(place / "made.csv"), "-r", str(place / "reference.csv"), "-o", str(place / "report"), "-q"]
    assert main(["validate", *words, "cascade=none"]) == 0
    return place


def report(folder):
    return json.loads((folder / "report" / "report.json").read_text())


def filling(folder):
    return next(item for item in report(folder)["recommendations"] if item["category"] == "fill_regions")


def fix(folder, output, *words):
    given = ["--report", str(folder / "report" / "report.json"), "-o", str(output), "-q"]
    return main(["fix", str(folder / "made.csv"), *given, *words])


def test_a_missing_mode_is_recommended_to_be_filled(folder):
    told = filling(folder)
    (region,) = told["action"]["regions"]
    assert region["conditions"] == [{"column": "city", "values": ["Lima"]}]
    assert region["share"] == pytest.approx(0.2, abs=0.03)
    # As many as bring it to its share of what there is then, not of what there was.
    assert told["cost"] == {"real_rows": told["affected_rows"]}
    assert told["affected_rows"] == pytest.approx(ROWS * region["share"] / (1.0 - region["share"]), abs=1)
    assert told["expected_risk_score"]["value"] < 0.3 * report(folder)["risk_score"]
    assert "city is Lima" in told["description"]
    assert "the regions were found on the same reference rows" in told["basis"]
    # Fewer real rows buy more than ones that lie anywhere.
    real = next(item for item in report(folder)["recommendations"] if item["category"] == "add_real_rows")
    assert (told["on_front"], told["price"] < real["price"]) == (True, True)


def test_a_missing_mode_is_filled_and_the_risk_falls(folder, tmp_path):
    told = filling(folder)
    output = tmp_path / "clean.csv"
    words = ["--real", str(folder / "real.csv"), "--validate", "--top", str(told["priority"])]
    assert fix(folder, output, *words) == 0
    manifest = json.loads((tmp_path / "clean.csv.manifest.json").read_text())
    done = next(action for action in manifest["actions"] if action["action"]["kind"] == "fill_regions")
    assert (done["status"], done["rows_short"]) == ("done", 0)
    assert manifest["validation"]["risk_score"] < 0.3 * manifest["validation"]["risk_score_before"]
    # In one pass over the file the rows of the region are counted, not estimated: the share is met to a row.
    found, made, real = (pd.read_csv(path) for path in (output, folder / "made.csv", folder / "real.csv"))
    pd.testing.assert_frame_equal(found.head(ROWS), made)
    added = found.iloc[ROWS:]
    lima = added[added.city == "Lima"]
    if told["priority"] == 1:
        assert len(lima) == len(added) == done["rows_added"]
    assert set(lima.income) <= set(real.income[real.city == "Lima"])
    assert len(set(lima.income)) == len(lima)
    share = told["action"]["regions"][0]["share"]
    assert (found.city == "Lima").mean() == pytest.approx(share, abs=1.0 / len(found))


def test_no_row_is_added_for_two_actions(folder, tmp_path):
    words = ["--real", str(folder / "real.csv")]
    assert fix(folder, tmp_path / "both.csv", *words) == 0
    manifest = json.loads((tmp_path / "both.csv.manifest.json").read_text())
    added = {action["action"]["kind"]: action["rows_added"] for action in manifest["actions"]}
    assert min(added["fill_regions"], added["add_real_rows"]) > 0
    found = pd.read_csv(tmp_path / "both.csv").iloc[ROWS:]
    assert len(found) == added["fill_regions"] + added["add_real_rows"]
    assert not found.duplicated().any()
    # Rows that lie anywhere have the region's share of their own, so that the whole keeps it.
    share = filling(folder)["action"]["regions"][0]["share"]
    assert (pd.read_csv(tmp_path / "both.csv").city == "Lima").mean() == pytest.approx(share, abs=0.02)


def test_fewer_real_rows_than_wanted_are_all_added_and_said_to_be_too_few(folder, tmp_path):
    few = frame(3_000, 7)
    few = pd.concat([few[few.city == "Lima"].head(40), few[few.city != "Lima"].head(100)])
    few.to_csv(tmp_path / "few.csv", index=False)
    told = filling(folder)
    only = report(folder)
    only["recommendations"] = [{**told, "priority": 1}]
    (tmp_path / "report.json").write_text(json.dumps(only))
    given = ["--report", str(tmp_path / "report.json"), "-o", str(tmp_path / "clean.csv"), "-q"]
    assert main(["fix", str(folder / "made.csv"), *given, "--real", str(tmp_path / "few.csv")]) == 0
    (done,) = json.loads((tmp_path / "clean.csv.manifest.json").read_text())["actions"]
    assert done["rows_added"] == 40
    assert done["rows_short"] == pytest.approx(told["affected_rows"] - 40, abs=1)
    assert "more real rows were wanted than there are" in done["note"]


def test_without_real_rows_nothing_is_filled(folder, tmp_path, capsys):
    assert fix(folder, tmp_path / "clean.csv", "--top", "1") == 2
    assert "give them with --real FILE" in capsys.readouterr().err
    assert not (tmp_path / "clean.csv").exists()


def test_a_filled_file_lacks_nothing(folder, tmp_path):
    only = report(folder)
    only["recommendations"] = [{**filling(folder), "priority": 1}]
    (tmp_path / "report.json").write_text(json.dumps(only))
    given = ["--report", str(tmp_path / "report.json"), "-o", str(tmp_path / "clean.csv"), "-q"]
    assert main(["fix", str(folder / "made.csv"), *given, "--real", str(folder / "real.csv"), "--validate"]) == 0
    after = json.loads((tmp_path / "clean.csv.report" / "report.json").read_text())
    assert after["localization"]["missing_regions"] == []
    assert "fill_regions" not in {item["category"] for item in after["recommendations"]}
