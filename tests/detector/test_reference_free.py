import numpy as np
import pyarrow as pa
import pytest

from vr.data.source import open_source
from vr.detector.inputs import Inputs
from vr.detector.reference_free import METRICS, measure
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in

ROWS = 1_200


def measured(table, seed=0):
    taken = take_in(open_source(table), None, Config(), 1, lambda *step: None)
    return measure(Inputs.of(taken, None, "needs a reference", seed, 1))


def values(table):
    return {name.partition(".")[2]: feature.value for name, feature in measured(table).items()}


def dependent(rows=ROWS, noise=0.3):
    """Two numbers that follow a third, one that follows nothing, and a category that the first decides."""
    rng = np.random.default_rng(0)
    x = rng.standard_t(3, rows)
    return pa.table(
        {
            "x": x,
            "y": x + noise * rng.standard_normal(rows),
            "z": -x + 1.5 * rng.standard_normal(rows),
            "free": rng.standard_normal(rows),
            "kind": np.array(["a", "b", "c"])[np.digitize(x, [-0.5, 0.5])],
        }
    )


def apart(table, share=1.0):
    """Shuffles a share of the rows within each column."""
    rng = np.random.default_rng(1)
    columns = {}
    for name in table.column_names:
        order = np.arange(table.num_rows)
        chosen = rng.permutation(table.num_rows)[: round(share * table.num_rows)]
        order[np.sort(chosen)] = chosen
        columns[name] = table[name].take(order)
    return pa.table(columns)


def test_independent_columns_measure_as_independent():
    found = values(apart(dependent()))
    assert found["least_unexplained"] == pytest.approx(0.0, abs=0.03)
    assert found["predictability_spread"] < 0.02
    assert found["empty_combinations"] == 0.0
    for name in ("joint_diversity", "near_duplicates", "outlying_rows", "duplicates"):
        assert found[name] == pytest.approx(0.0, abs=0.03)
    assert found["missing_mass"] == pytest.approx(0.0, abs=0.3)


def test_structure_wears_off_towards_harm():
    found = [values(apart(dependent(), share)) for share in (0.0, 0.2, 0.4, 0.6)]
    for name in ("least_unexplained", "predictability_spread", "joint_diversity", "strongest_pair"):
        sign = 1 if METRICS[f"reference_free.{name}"].higher_is_worse else -1
        assert (np.diff([sign * each[name] for each in found]) > 0).all(), name
    assert found[0]["empty_combinations"] > 0.2
    assert max(each["empty_combinations"] for each in found[1:]) < 0.01


def test_least_unexplained_is_the_noise_of_the_best_predicted_column():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 8, ROWS)
    table = pa.table({"x": x, "same": x * 10, "free": rng.integers(0, 8, ROWS)})
    # log(1.01 - 1): nothing is left but the ridge's penalty.
    assert values(table)["least_unexplained"] == pytest.approx(np.log(0.01), abs=0.5)


@pytest.mark.parametrize("times", [2, 5])
def test_copies_are_repeats_as_often_as_rarefaction_says(times):
    base = dependent(ROWS // times)
    found = values(pa.concat_tables([base] * times))
    # Of 150 rows drawn, how many distinct ones: each is missed with probability C(n - k, 150) / C(n, 150).
    missed = np.prod([(ROWS - 150 - i) / (ROWS - i) for i in range(times)])
    assert found["duplicates"] == pytest.approx(1.0 - (ROWS // times) * (1.0 - missed) / 150, abs=1e-9)
    assert values(base)["duplicates"] == 0.0


def test_slightly_changed_copies_are_near_duplicates_and_no_duplicates():
    base = dependent(ROWS // 2)
    moved = base.set_column(3, "free", pa.array(base["free"].to_numpy() + 1e-3))
    found = values(pa.concat_tables([base, moved]))
    assert found["near_duplicates"] > 0.8
    assert found["duplicates"] == 0.0


def test_cut_tails_are_shorter():
    def tail(x):
        return values(dependent().set_column(3, "free", pa.array(x)))["tail_length"]

    x = np.random.default_rng(3).standard_t(2, ROWS)
    low, high = np.quantile(x, [0.02, 0.98])
    assert tail(np.clip(x, low, high)) < tail(x) - 0.2
    assert tail(1e5 * x - 7.0) == pytest.approx(tail(x), rel=1e-6)


def test_order_of_rows_changes_only_what_is_drawn_at_random():
    table = dependent()
    found, again = values(table), values(table.take(np.random.default_rng(4).permutation(ROWS)))
    for name in ("strongest_pair", "empty_combinations", "tail_length", "duplicates"):
        assert again[name] == pytest.approx(found[name], abs=1e-9)
    for name in found:
        assert again[name] == pytest.approx(found[name], abs=0.15), name


def test_the_same_seed_gives_the_same_numbers():
    assert measured(dependent()) == measured(dependent())


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"x": [1.0], "y": ["a"]}),
        dependent(49),
        pa.table({"x": np.ones(200), "y": ["a"] * 200}),
        pa.table({"x": np.random.default_rng(0).normal(size=200), "y": pa.nulls(200, pa.float64())}),
    ],
    ids=["one row", "few rows", "constant", "one column and nulls"],
)
def test_what_cannot_be_measured_says_why(table):
    found = measured(table)
    assert list(found) == list(METRICS)
    assert all(feature.value is None and feature.reason for feature in found.values())


def test_odd_columns_give_finite_numbers_or_a_reason():
    rng = np.random.default_rng(0)
    rare = np.zeros(400)
    rare[7] = 1.0
    table = pa.table(
        {
            "rare": rare,
            "huge": rng.choice([-1.7e308, 1.7e308, 1.0], 400) * rng.random(400),
            "infinite": np.where(rng.random(400) < 0.1, np.inf, rng.normal(size=400)),
            "gaps": pa.array(rng.normal(size=400), mask=rng.random(400) < 0.5),
            "lone": ["once"] + ["usual"] * 399,
        }
    )
    for feature in measured(table).values():
        assert np.isfinite(feature.value)
    nominal = pa.table({"a": list("xyz" * 100), "b": list("uv" * 150)})
    found = measured(nominal)
    assert [name for name, feature in found.items() if feature.value is None] == ["reference_free.tail_length"]
    assert "numeric" in found["reference_free.tail_length"].reason
