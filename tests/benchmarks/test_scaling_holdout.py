"""Forecasts never see what they foretell, factors never the dataset that they judge; what is trained is kept."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import scaling_holdout
from benchmarks.collapse.cases import splits
from benchmarks.scaling_forecasts import Forecast, conformal_factor, forecasts, gather, ranking, summary, table
from vr.cascade.scaling import Widening
from vr.cascade.train import _models

SIZES = (5e3, 4e4, 3.2e5, 2.56e6)


def document(split="a-0", *, law=lambda n: 1.0 + 20.0 * n**-0.34, excess=0.05, seed=0, last=1.0):
    """A split whose losses follow `law` with 1 % of noise; the truth of the largest size is `last` times the law's."""
    rng = np.random.default_rng(seed)
    arms = {"reference": [], f"{split}/case": []}
    for size, count in zip(SIZES, (10, 5, 3, 3), strict=True):
        shared = law(size) * (last if size == SIZES[-1] else 1.0) * np.exp(rng.normal(0, 0.01, count))
        for arm, factor in (("reference", 0.0), (f"{split}/case", excess)):
            own = shared * np.exp(factor + rng.normal(0, 0.002, count))
            arms[arm].append({"final": own.tolist(), "best": own.tolist()})
    return {"split": split, "harm": {f"{split}/case": 0.5}, "tiers": [{"parameters": n} for n in SIZES], "arms": arms}


def forecast(split, truth, value, *, quantity="loss", half=1.0, single=0.0):
    return Forecast(
        split, "case", 0.0, "final", 3, quantity, truth, 0.1, value, value - half, value + half, value, single, 0.5
    )


def test_the_factor_is_the_conformal_quantile():
    needed = np.arange(1.0, 40.0)
    assert conformal_factor(np.random.default_rng(0).permutation(needed)) == 38.0
    assert conformal_factor(needed[:19]) == 19.0
    assert conformal_factor(needed[:18]) is None
    assert conformal_factor(needed / 100.0) == 1.0


def test_the_factor_covers_what_it_was_not_fitted_to():
    rng = np.random.default_rng(0)
    draws = rng.lognormal(1.0, 1.0, (2_000, 31))
    covered = np.mean([row[-1] <= conformal_factor(row[:-1], 0.9) for row in draws])
    # 28 of 31 places for the last one: 0.903; four standard deviations of 2,000 draws.
    assert covered == pytest.approx(28 / 31, abs=0.027)


def test_a_forecast_does_not_depend_on_the_tier_that_it_foretells():
    plain, moved = (forecasts(document(last=last), "final") for last in (1.0, 1.3))
    for a, b in zip(plain, moved, strict=True):
        assert (a.value, a.lower, a.upper, a.falling, a.single) == (b.value, b.lower, b.upper, b.falling, b.single) or (
            math.isnan(a.falling) and (a.value, a.lower, a.upper, a.single) == (b.value, b.lower, b.upper, b.single)
        )
    changed = [(a, b) for a, b in zip(plain, moved, strict=True) if a.fitted == 3 and a.quantity == "loss"]
    assert all(b.truth == pytest.approx(1.3 * a.truth) for a, b in changed)


def test_on_a_power_law_the_law_beats_the_single_tier_and_one_that_may_only_fall_loses_on_a_rising_one():
    for law, rises in ((lambda n: 1.0 + 20.0 * n**-0.34, False), (lambda n: 3.0 - 20.0 * n**-0.34, True)):
        found = [
            f
            for seed in range(4)
            for f in forecasts(document(law=law, seed=seed), "final")
            if f.fitted == 3 and f.quantity == "loss"
        ]
        errors = {
            name: np.median([f.error(getattr(f, name)) for f in found]) for name in ("value", "single", "falling")
        }
        assert errors["value"] < 0.02
        assert errors["value"] < errors["single"]
        assert (errors["falling"] > 2 * errors["single"]) == rises


def test_a_diverged_seed_leaves_both_arms():
    broken = document()
    for followed in ("final", "best"):
        broken["arms"]["a-0/case"][3][followed][1] = None
    excess = next(f for f in forecasts(broken, "final") if f.fitted == 3 and f.quantity == "excess")
    pairs = [
        (x, y)
        for x, y in zip(broken["arms"]["a-0/case"][3]["final"], broken["arms"]["reference"][3]["final"], strict=True)
        if x is not None
    ]
    assert excess.truth == pytest.approx(np.mean([np.log(x / y) for x, y in pairs]))


def test_no_dataset_is_judged_by_a_factor_that_it_was_fitted_to():
    calm = [forecast(f"calm{i}", 1.0 + 0.01 * i, 1.0, half=0.2) for i in range(30)]
    wild = forecast("wild", 3.0, 1.0, half=0.2)
    row = summary([*calm, wild])
    # Of the calm ones the worst would need 1.45; the wild one needs 10, by which it may not be judged itself.
    assert row["coverage"]["widened_by_other_datasets"] == pytest.approx(30 / 31, abs=1e-3)
    assert row["coverage"]["unwidened"] == pytest.approx(21 / 31, abs=1e-3)
    assert row["factor"] == pytest.approx(10.0)
    assert summary(calm[:10])["coverage"]["widened_by_other_datasets"] is None


def test_errors_and_the_single_tiers_interval_by_hand():
    row = summary([forecast("a", 2.0, 2.1, single=1.4), forecast("b", 2.0, 1.9, single=1.6)])
    assert row["error"]["law"]["median"] == pytest.approx(0.05)
    assert row["error"]["single_tier"]["median"] == pytest.approx(0.25)
    assert row["coverage"]["single_tier"] == 0.5


def test_ranking_by_hand():
    kind = {"quantity": "excess", "single": 0.0}
    found = [
        replace(forecast("a", 0.3, 0.2, **kind), single=-0.1),
        replace(forecast("a", 0.05, 0.25, **kind), single=-0.2),
        replace(forecast("b", -0.4, -0.1, **kind), single=-0.3),
    ]
    assert ranking(found, "value") == {
        "against_reference": [1.0, 3],
        "clear_ones": [1.0, 2],
        "between_candidates": [0.0, 1],
    }
    assert ranking(found, "single") == {
        "against_reference": [0.333, 3],
        "clear_ones": [0.5, 2],
        "between_candidates": [1.0, 1],
    }


def test_gathered_results_are_json_and_make_a_table():
    result = gather([document(), document("b-0", seed=1)], seen=("b-0",))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert len(result["summaries"]) == 2 * 2 * 2 * 2
    assert "final loss, tier 4 foretold by tiers 1 to 3: 4 forecasts, all 2 datasets" in table(result)
    assert "final loss, tier 4 foretold by tiers 1 to 3: 2 forecasts, new 1 datasets" in table(result)


def test_a_factor_ships_only_from_enough_datasets(tmp_path, monkeypatch):
    monkeypatch.setattr(scaling_holdout, "SHIPPED", tmp_path / "widening.json")

    def result(datasets, *factors):
        kinds = [(followed, quantity) for followed in ("final", "best") for quantity in ("loss", "excess")] * 2
        coverage = {"coverage": {"widened_by_other_datasets": 0.9}}
        rows = [
            {"among": "all", "followed": followed, "quantity": quantity, "factor": factor} | coverage
            for (followed, quantity), factor in zip(kinds, factors, strict=True)
        ]
        rows += [{**row, "among": "new", "factor": 50.0} for row in rows]
        return {"splits": [f"d{i}-0" for i in range(datasets)], "summaries": rows}

    factors = (2.0, 3.0, 9.0, 9.0, 2.5, 1.5, 9.0, 9.0)
    with pytest.raises(SystemExit, match="7 datasets are too few"):
        scaling_holdout.ship(result(7, *factors))
    with pytest.raises(SystemExit, match="too few"):
        scaling_holdout.ship(result(16, None, *factors[1:]))
    scaling_holdout.ship(result(16, *factors))
    shipped = Widening(**json.loads((tmp_path / "widening.json").read_text()))
    assert (shipped.loss, shipped.excess) == (2.5, 3.0)
    assert len(shipped.origin["splits"]) == 16


def test_the_fourth_tier_follows_the_third_as_the_third_the_second():
    second, third, fourth = scaling_holdout.tiers()[1:]
    assert fourth.learning_rate / third.learning_rate == third.learning_rate / second.learning_rate
    assert (fourth.steps, fourth.batch_rows, fourth.depth) == (third.steps, third.batch_rows, third.depth)
    from vr.cascade.config import CascadeConfig

    models = _models(CascadeConfig(tiers=scaling_holdout.tiers()), np.full(10, 20))
    assert models["tier_4"].parameters / models["tier_3"].parameters == pytest.approx(8.0, rel=0.05)


def test_candidates_are_fresh_rows_the_mildest_lineage_and_the_median_collapsed_one():
    split = splits(["randhie"])[0]
    labelled = [("real", "real", 0.0, "healthy"), ("z", "lineage", 0.1, "grey"), ("y", "lineage", 0.05, "unknown")]
    labelled += [(name, "lineage", harm, "collapsed") for name, harm in (("a", 0.9), ("b", 0.3), ("c", 0.5))]
    labelled += [("d", "damage", 0.4, "collapsed")]
    rows = [
        {"case": f"{split.name}/{name}", "split": split.name, "kind": kind, "harm": harm, "label": label, "seen": False}
        for name, kind, harm, label in labelled
    ]
    assert list(scaling_holdout.candidates(split, rows)) == [f"{split.name}/{name}" for name in ("real", "z", "c")]


def test_what_is_there_is_not_trained_again_unless_the_tiers_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = scaling_holdout.SPLITS[:2]
    first, second = scaling_holdout.missing(names)
    assert (first.name, second.name) == names
    path = scaling_holdout.path_of(first)
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert scaling_holdout.missing(names) == [second]
    other = [replace(tier, steps=400) for tier in scaling_holdout.tiers()]
    monkeypatch.setattr(scaling_holdout, "tiers", lambda: other)
    assert scaling_holdout.missing(names) == [first, second]


def test_no_dataset_is_there_twice():
    datasets = [split.dataset for split in splits() if split.name in scaling_holdout.SPLITS]
    assert len(set(datasets)) == len(datasets) == len(scaling_holdout.SPLITS) >= 8
