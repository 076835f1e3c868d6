"""What sets the families apart from each other: one claim of each module's head."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import kurtosis, spearmanr

from synthetic import (
    autoregressive_network,
    bayesian_network,
    gaussian_copula,
    gaussian_mixture,
    kernel_density,
    neighbour_interpolation,
    sequential_trees,
    variational_autoencoder,
)
from synthetic.table import derive_key, stream


def bivariate(n: int = 4000, rho: float = 0.8) -> pa.Table:
    x = np.random.default_rng(0).multivariate_normal([0, 0], [[1, rho], [rho, 1]], n)
    return pa.table({"a": np.exp(x[:, 0]), "b": x[:, 1] ** 3})


def test_copula_recovers_the_latent_correlation_under_any_marginals():
    generator = gaussian_copula.fit(bivariate(), 0)
    assert generator.factor[1, 0] == pytest.approx(0.8, abs=0.02)
    made = generator.sample(4000, 1)
    # Spearman's rho of a Gaussian copula: 6 / pi asin(rho / 2).
    assert spearmanr(made["a"], made["b"]).statistic == pytest.approx(6 / np.pi * np.arcsin(0.4), abs=0.03)


def exclusive_or(n: int = 2000) -> pa.Table:
    a, b = np.random.default_rng(0).integers(0, 2, (2, n))
    return pa.table({"a": a == 1, "b": b == 1, "xor": (a ^ b) == 1})


def share_right(made: pa.Table) -> float:
    a, b, xor = (made[name].to_numpy(zero_copy_only=False) for name in ("a", "b", "xor"))
    return float(np.mean((a ^ b) == xor))


def test_an_interaction_is_kept_by_trees_and_networks_and_forgotten_by_pairs():
    def kept_by(family) -> float:
        return share_right(family.fit(exclusive_or(), 0).sample(2000, 1))

    assert kept_by(gaussian_copula) < 0.56
    assert kept_by(bayesian_network) < 0.56
    assert kept_by(sequential_trees) == 1.0
    assert kept_by(autoregressive_network) > 0.95


def test_trees_only_repeat_observed_values():
    table = bivariate(300)
    made = sequential_trees.fit(table, 0).sample(1000, 1)
    assert set(made["b"].to_pylist()) <= set(table["b"].to_pylist())


def test_trees_with_one_leaf_are_independent():
    made = sequential_trees.fit(bivariate(500), 0, min_leaf=500).sample(4000, 1)
    assert abs(spearmanr(made["a"], made["b"]).statistic) < 0.06


def test_mixture_finds_clusters():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-10, 1, 500), rng.normal(10, 1, 500)])
    made = gaussian_mixture.fit(pa.table({"x": x}), 0, num_components=2).sample(4000, 1)["x"].to_numpy()
    assert np.mean(np.abs(made) < 5) < 0.01
    # Two spikes: the kurtosis of the pair, not of a normal.
    assert kurtosis(made) == pytest.approx(kurtosis(x), abs=0.1)


def test_kernel_density_widens_by_its_bandwidth():
    table = pa.table({"x": np.random.default_rng(0).normal(size=2000), "end": np.r_[-50.0, 50.0, np.zeros(1998)]})
    generator = kernel_density.fit(table, 0)
    made = generator.sample(20_000, 1)["x"].to_numpy()
    x = table["x"].to_numpy()
    assert generator.bandwidth[0] == pytest.approx(x.std() * (1 / 2000) ** (1 / 6))
    # A little less, for what falls beyond the observed range is clipped.
    assert np.var(made) == pytest.approx(np.var(x) + generator.bandwidth[0] ** 2, rel=0.03)


def chain(n: int = 4000) -> pa.Table:
    rng = np.random.default_rng(0)
    a = rng.normal(size=n)
    b = a + 0.5 * rng.normal(size=n)
    return pa.table({"c": b + 0.5 * rng.normal(size=n), "a": a, "b": b})


def test_bayesian_network_finds_the_chain_and_keeps_it():
    generator = bayesian_network.fit(chain(), 0)
    joined = {frozenset((edge.column, edge.parent)) for edge in generator.edges if edge.parent is not None}
    assert joined == {frozenset((0, 2)), frozenset((1, 2))}
    made, real = generator.sample(4000, 1), chain()
    # The ends are joined through the middle alone, whose bins cost a little.
    for first, second in (("a", "b"), ("b", "c"), ("a", "c")):
        expected = spearmanr(real[first], real[second]).statistic
        assert spearmanr(made[first], made[second]).statistic == pytest.approx(expected, abs=0.04)


def test_bayesian_network_repeats_its_edges_exactly():
    table = pa.table({"a": ["x", "x", "y", "z"] * 50, "b": ["p", "q", "q", None] * 50})
    made = bayesian_network.fit(table, 0).sample(4000, 1).to_pylist()
    pairs = [(row["a"], row["b"]) for row in made]
    assert set(pairs) == {("x", "p"), ("x", "q"), ("y", "q"), ("z", None)}
    assert pairs.count(("x", "p")) / 4000 == pytest.approx(0.25, abs=0.03)


def test_interpolation_draws_lines_within_the_hull():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 1000)
    made = neighbour_interpolation.fit(pa.table({"x": np.cos(angle), "y": np.sin(angle)}), 0).sample(2000, 1)
    radius = np.hypot(made["x"], made["y"])
    assert radius.max() <= 1.0 + 1e-9
    assert radius.min() > 0.99


def test_interpolation_never_draws_a_line_to_a_filled_hole():
    rng = np.random.default_rng(0)
    high = np.arange(200) % 2 == 1
    x, y = high + 0.1 * rng.random(200), pa.array(1000.0 * high, mask=rng.random(200) < 0.5)
    made = neighbour_interpolation.fit(pa.table({"x": x, "y": y}), 0).sample(1000, 1).to_pylist()
    # Holes of y are filled at random, so a line to one of them would bring a high y to a low x.
    assert {row["y"] for row in made if row["x"] < 0.5} == {0.0, None}
    assert {row["y"] for row in made if row["x"] > 0.9} == {1000.0, None}


def test_autoencoder_keeps_what_one_factor_explains():
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(1000, 1))
    x = factor + 0.5 * rng.normal(size=(1000, 5))
    made = variational_autoencoder.fit(pa.table({f"x{j}": x[:, j] for j in range(5)}), 0).sample(4000, 1)
    correlation = np.corrcoef([made[f"x{j}"] for j in range(5)])
    np.testing.assert_allclose(correlation[np.triu_indices(5, 1)], 0.8, atol=0.07)


@pytest.mark.parametrize(
    ("fit", "option"),
    [
        (sequential_trees.fit, {"min_leaf": 0}),
        (gaussian_mixture.fit, {"num_components": 0}),
        (kernel_density.fit, {"redraw": 2.0}),
        (bayesian_network.fit, {"num_bins": 0}),
        (neighbour_interpolation.fit, {"num_neighbours": 0}),
    ],
)
def test_settings_out_of_range_are_refused(fit, option):
    with pytest.raises(ValueError, match="must be"):
        fit(bivariate(50), 0, **option)


def test_streams_differ_by_name_and_key_and_repeat():
    assert derive_key(1, "fit", 2) == derive_key(1, "fit", 2)
    assert (
        len({derive_key(1, "fit", 2), derive_key(1, "fit", 3), derive_key(1, "sample", 2), derive_key(2, "fit", 2)})
        == 4
    )
    assert stream(3, "a").random() != stream(3, "b").random()
    with pytest.raises(ValueError, match="key"):
        stream(-1)
