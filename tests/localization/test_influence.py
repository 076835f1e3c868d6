"""Influence in a softmax regression, where it has closed forms: a Newton step, and training again without the row."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from vr.localization.influence import Cells, directions, influence

ROWS, INPUTS, CODES = 200, 3, 3


def drawn(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, INPUTS))
    truth = np.array([[1.5, -1.0, 0.0], [0.0, 1.0, -1.0], [0.5, 0.0, -0.5]])
    return x, (x @ truth + rng.gumbel(size=(rows, CODES))).argmax(axis=1)


def with_bias(x):
    return np.column_stack([x, np.ones(len(x))])


def loss(weights, x, y):
    logits = with_bias(x) @ weights.reshape(INPUTS + 1, CODES)
    return logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]


def fitted(x, y, ridge, kept):
    """The optimum of the mean loss over all rows, of which only some are kept, plus half the ridge."""

    def objective(weights):
        probabilities = softmax(with_bias(x) @ weights.reshape(INPUTS + 1, CODES), axis=1)
        errors = (probabilities - np.eye(CODES)[y]) * kept[:, None]
        value = np.sum(loss(weights, x, y) * kept) / len(y) + ridge / 2 * weights @ weights
        return value, (with_bias(x).T @ errors / len(y)).ravel() + ridge * weights

    return minimize(objective, np.zeros((INPUTS + 1) * CODES), jac=True, tol=1e-12, options={"gtol": 1e-9}).x


def cells_of(weights, x, y):
    probabilities = softmax(with_bias(x) @ weights.reshape(INPUTS + 1, CODES), axis=1)
    return Cells.of(x[None], probabilities[None], y[None])


def gauss_newton(weights, x):
    """The Hessian of the mean loss, in full."""
    probabilities = softmax(with_bias(x) @ weights.reshape(INPUTS + 1, CODES), axis=1)
    blocks = [
        np.kron(np.outer(a, a), np.diag(p) - np.outer(p, p)) for a, p in zip(with_bias(x), probabilities, strict=True)
    ]
    return np.mean(blocks, axis=0)


@pytest.fixture(scope="module")
def regression():
    (x, y), (real_x, real_y) = drawn(ROWS, 0), drawn(200, 1)
    ridge = 0.02
    weights = fitted(x, y, ridge, np.ones(ROWS))
    return x, y, real_x, real_y, ridge, weights


def damping_for(ridge, hessian):
    return ridge / (np.trace(hessian) / len(hessian))


def test_directions_solve_the_damped_system(regression):
    x, y, real_x, real_y, ridge, weights = regression
    hessian = gauss_newton(weights, x)
    held_out = cells_of(weights, real_x, real_y)
    gradient = np.mean([np.outer(a, e) for a, e in zip(with_bias(real_x), held_out.errors(0), strict=True)], axis=0)
    expected = np.linalg.solve(hessian + ridge * np.eye(len(hessian)), gradient.ravel())
    found = directions(cells_of(weights, x, y), held_out, damping_for(ridge, hessian))
    assert found.shape == (1, 1, INPUTS + 1, CODES)
    assert found.ravel() == pytest.approx(expected, rel=0.01, abs=0.01 * np.abs(expected).max())


def test_influence_is_what_training_without_the_row_changes(regression):
    x, y, real_x, real_y, ridge, weights = regression
    cells, held_out = cells_of(weights, x, y), cells_of(weights, real_x, real_y)
    towards = directions(cells, held_out, damping_for(ridge, gauss_newton(weights, x)))
    predicted = influence(towards, cells, ROWS)[0]
    kept = 1.0 - np.eye(ROWS)
    without = np.array([loss(fitted(x, y, ridge, each), real_x, real_y).mean() for each in kept])
    actual = loss(weights, real_x, real_y).mean() - without
    assert np.corrcoef(predicted, actual)[0, 1] > 0.99
    assert np.polyfit(actual, predicted, 1)[0] == pytest.approx(1.0, abs=0.1)


def test_each_target_has_its_own_influence_and_their_mean_is_that_of_the_mean(regression):
    x, y, real_x, real_y, _, weights = regression
    cells, held_out = cells_of(weights, x, y), cells_of(weights, real_x[:20], real_y[:20])
    apart = influence(directions(cells, held_out, 0.1, np.eye(20)), cells, ROWS)
    together = influence(directions(cells, held_out, 0.1), cells, ROWS)[0]
    assert apart.shape == (20, ROWS)
    assert apart.mean(axis=0) == pytest.approx(together, abs=0.01 * np.abs(together).max())


def test_under_heavy_damping_it_is_the_plain_product_of_gradients(regression):
    x, y, real_x, real_y, _, weights = regression
    cells, held_out = cells_of(weights, x, y), cells_of(weights, real_x, real_y)
    found = influence(directions(cells, held_out, 1e4), cells, ROWS)[0]
    gradients = np.einsum("nc,nk->nck", with_bias(x), cells.errors(0))
    mean = np.einsum("nc,nk->ck", with_bias(real_x), held_out.errors(0)) / len(real_x)
    assert np.corrcoef(found, -np.einsum("nck,ck->n", gradients, mean))[0, 1] > 0.999


def test_rows_that_teach_the_contrary_do_harm():
    (x, y), (real_x, real_y) = drawn(ROWS, 0), drawn(500, 1)
    flipped = np.arange(ROWS) < 20
    y = np.where(flipped, (y + 1) % CODES, y)
    weights = fitted(x, y, 0.02, np.ones(ROWS))
    cells = cells_of(weights, x, y)
    found = influence(directions(cells, cells_of(weights, real_x, real_y), 0.1), cells, ROWS)[0]
    assert found[flipped].mean() > 3.0 * np.abs(found[~flipped].mean())
    assert np.mean(found[flipped][:, None] > found[~flipped]) > 0.75


def test_what_is_not_finite_gives_nan_and_no_number(regression):
    x, y, real_x, real_y, _, weights = regression
    cells = cells_of(weights, x, y)
    inputs = cells.inputs.copy()
    inputs[0, 0, 0] = np.nan
    broken = Cells(inputs, cells.probabilities, cells.codes)
    assert np.isnan(directions(broken, cells_of(weights, real_x, real_y), 0.1)).all()
