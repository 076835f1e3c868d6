"""The contract that every generator family keeps."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import spearmanr
from scipy.stats.contingency import association

from synthetic.families import FAMILIES


@pytest.fixture(scope="module")
def fitted(mixed):
    """Every family, fitted to the mixed table with key 1."""
    return {name: family.fit(mixed, 1) for name, family in FAMILIES.items()}


each_family = pytest.mark.parametrize("name", sorted(FAMILIES))


def test_registry_names_are_the_families_own():
    assert all(name == family.name and family.summary for name, family in FAMILIES.items())


@each_family
def test_sample_keeps_the_schema_and_the_number_of_rows(name, mixed, fitted):
    made = fitted[name].sample(333, 2)
    assert made.schema == mixed.schema
    assert made.num_rows == 333
    made.validate(full=True)


@each_family
def test_same_keys_give_the_same_rows_and_other_keys_others(name, mixed, fitted):
    family = FAMILIES[name]
    first, again = fitted[name].sample(100, 2), family.fit(mixed, 1).sample(100, 2)
    # Bit for bit: pyarrow's own equality calls two NaN different.
    assert all(str(first[c].to_pylist()) == str(again[c].to_pylist()) for c in mixed.column_names)
    assert not first["x"].equals(fitted[name].sample(100, 3)["x"])


@each_family
def test_missing_values_come_back_at_their_rate(name, mixed, fitted):
    made = fitted[name].sample(4000, 2)
    for column in ("y", "group"):
        assert made[column].null_count / 4000 == pytest.approx(mixed[column].null_count / 400, abs=0.05)
    nan_rate = np.isnan(made["nan"].to_numpy()).mean()
    assert made["nan"].null_count == 0
    assert nan_rate == pytest.approx(np.isnan(mixed["nan"].to_numpy()).mean(), abs=0.06)
    assert made["x"].null_count == 0
    assert made["all_null"].null_count == made["null"].null_count == 4000


@each_family
def test_values_stay_in_range_and_few_valued_columns_repeat_observed_ones(name, mixed, fitted):
    made = fitted[name].sample(2000, 2)
    for column in ("x", "y", "count", "byte", "price", "day", "time"):
        seen, now = pc.min_max(mixed[column]).as_py(), pc.min_max(made[column]).as_py()
        assert seen["min"] <= now["min"] <= now["max"] <= seen["max"]
    assert set(made["grade"].to_pylist()) <= {1, 3, 7}
    assert set(made["group"].to_pylist()) <= {"high", "low", None}
    assert set(made["constant"].to_pylist()) == {4.25}
    assert set(made["one_level"].to_pylist()) == {"same"}
    price = made["price"].to_numpy()
    np.testing.assert_array_equal(price, np.round(price, 2))


@each_family
def test_marginals_are_learned(name, mixed, fitted):
    made = fitted[name].sample(4000, 2)
    assert np.mean(made["x"]) == pytest.approx(np.mean(mixed["x"]), abs=2.0)
    # The widest is the kernel density: nine numbers give 400 rows a bandwidth of 0.6 standard deviations.
    assert np.std(made["x"]) == pytest.approx(np.std(mixed["x"]), rel=0.2)
    share = np.mean(np.array(made["kind"].to_pylist()) == "a")
    assert share == pytest.approx(np.mean(np.array(mixed["kind"].to_pylist()) == "a"), abs=0.07)


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"independent"}))
def test_dependence_is_learned(name, fitted):
    made = fitted[name].sample(2000, 2)
    both = made.filter(pc.is_valid(made["y"]))
    # The holes of y are filled from its marginal, which costs the families that model x with y some of the 0.998.
    assert np.corrcoef(both["x"], both["y"])[0, 1] > 0.55
    flag = made["flag"].to_numpy(zero_copy_only=False)
    assert made["x"].to_numpy()[flag].mean() > made["x"].to_numpy()[~flag].mean() + 5


def associations(table: pa.Table) -> np.ndarray:
    """Rank correlations between the numbers and Cramer's V between the categories."""
    numbers = np.column_stack([table[name] for name in ("x", "linear", "curved", "noise")])
    codes = {name: np.unique(table[name].to_pylist(), return_inverse=True)[1] for name in ("kind", "size", "other")}
    counts = []
    for first, second in (("kind", "size"), ("kind", "other"), ("size", "other")):
        count = np.zeros((codes[first].max() + 1, codes[second].max() + 1), int)
        np.add.at(count, (codes[first], codes[second]), 1)
        counts.append(association(count))
    return np.r_[spearmanr(numbers).statistic[np.triu_indices(4, 1)], counts]


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"independent"}))
def test_dependence_is_kept_far_better_than_by_independent_columns(name):
    rng = np.random.default_rng(0)
    x = rng.normal(size=1000)
    kind = np.digitize(x + 0.5 * rng.normal(size=1000), [-0.8, 0.8])
    table = pa.table(
        {
            "x": x,
            "linear": x + 0.5 * rng.normal(size=1000),
            "curved": np.exp(0.5 * x + 0.3 * rng.normal(size=1000)),
            "noise": rng.normal(size=1000),
            "kind": np.array(["low", "middle", "high"])[kind],
            "size": np.array(["s", "m", "l"])[np.where(rng.random(1000) < 0.2, rng.integers(0, 3, 1000), kind)],
            "other": rng.choice(["a", "b"], 1000),
        }
    )
    real = associations(table)
    made = associations(FAMILIES[name].fit(table, 1).sample(2000, 2))
    lost = associations(FAMILIES["independent"].fit(table, 1).sample(2000, 2))
    assert np.abs(made - real).mean() < 0.3 * np.abs(lost - real).mean()


def test_independent_forgets_dependence(fitted):
    made = fitted["independent"].sample(4000, 2)
    assert abs(np.corrcoef(made["x"], made["price"])[0, 1]) < 0.06


@each_family
@pytest.mark.parametrize("temperature", [1e-6, 0.5, 2.0])
def test_any_temperature_keeps_the_contract(name, temperature, mixed, fitted):
    made = fitted[name].sample(500, 2, temperature)
    assert made.schema == mixed.schema
    assert set(made["grade"].to_pylist()) <= {1, 3, 7}


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"kernel_density"}))
def test_low_temperature_narrows_and_favours_the_commonest(name, mixed):
    # The category first: the trees draw it from its marginal, the number from leaves of one category.
    table = mixed.select(["kind", "x"])
    generator = FAMILIES[name].fit(table, 1)
    cold, warm = generator.sample(2000, 2, 0.1), generator.sample(2000, 2)
    assert np.std(cold["x"]) < 0.8 * np.std(warm["x"])
    share = [np.mean(np.array(made["kind"].to_pylist()) == "a") for made in (cold, warm)]
    assert share[0] > share[1] + 0.1


def test_cold_kernel_density_is_the_bootstrap(mixed):
    table = mixed.select(["x", "kind"])
    made = FAMILIES["kernel_density"].fit(table, 1).sample(200, 2, 1e-12)
    distance = np.abs(made["x"].to_numpy()[:, None] - table["x"].to_numpy()).min(axis=1)
    assert distance.max() < 1e-4


@each_family
def test_thirty_rows_are_enough(name, mixed):
    assert FAMILIES[name].fit(mixed.slice(0, 30), 1).sample(50, 2).schema == mixed.schema


@each_family
def test_one_row_is_repeated(name):
    table = pa.table({"x": [1.5], "n": [3], "s": ["a"]})
    assert FAMILIES[name].fit(table, 1).sample(3, 2).to_pylist() == [{"x": 1.5, "n": 3, "s": "a"}] * 3


@each_family
def test_one_categorical_column_alone(name):
    table = pa.table({"kind": ["a"] * 60 + ["b"] * 30 + [None] * 10})
    made = FAMILIES[name].fit(table, 1).sample(2000, 2)["kind"].to_pylist()
    assert made.count("a") / 2000 == pytest.approx(0.6, abs=0.08)
    assert made.count(None) / 2000 == pytest.approx(0.1, abs=0.08)


@each_family
def test_many_levels_all_come_from_the_table(name):
    levels = [f"level {i}" for i in range(60)]
    table = pa.table({"kind": levels * 5, "x": np.arange(300.0)})
    made = FAMILIES[name].fit(table, 1).sample(1000, 2)["kind"].to_pylist()
    assert set(made) <= set(levels)
    assert len(set(made)) > 40


@each_family
def test_nothing_but_nulls_gives_nulls(name):
    table = pa.table({"a": pa.nulls(40), "b": pa.nulls(40, pa.string())})
    made = FAMILIES[name].fit(table, 1).sample(7, 2)
    assert made.schema == table.schema
    assert made.num_rows == made["a"].null_count == made["b"].null_count == 7


@each_family
def test_no_rows_may_be_asked_for(name, mixed, fitted):
    made = fitted[name].sample(0, 2)
    assert made.num_rows == 0
    assert made.schema == mixed.schema


@each_family
@pytest.mark.parametrize(("n", "key", "temperature"), [(-1, 0, 1.0), (1, -1, 1.0), (1, 0, 0.0), (1, 0, float("nan"))])
def test_requests_out_of_range_are_refused(name, n, key, temperature, fitted):
    with pytest.raises(ValueError, match="must be"):
        fitted[name].sample(n, key, temperature)
