"""Integrated gradients of known functions: exact, complete, refined where they must be, withheld where they fail."""

import numpy as np
import pytest

from vr.localization.attribution import TOLERANCE, attribute

ROWS, COLUMNS = 5, 3


def along(value, derivative, calls=None):
    """What a network would give for losses of the share that is shown, the same of every cell; rows as asked."""

    def gradients(points, weights, rows):
        if calls is not None:
            calls.append(len(rows))
        slopes = sum(w * derivative(t) for t, w in zip(points, weights, strict=True))
        integral = np.broadcast_to(slopes[:, :, None], (COLUMNS, COLUMNS, len(rows)))
        ends = (np.broadcast_to(value(t)[:, None], (COLUMNS, len(rows))) for t in (0.0, 1.0))
        return integral, *ends

    return gradients


def losses_of(weights, shape):
    """Losses `shape(sum of what is shown)` of each predicted column, and their derivatives by each other one."""
    return (
        lambda t: shape(t * weights.sum(axis=1)),
        lambda t: (
            weights
            * np.gradient([shape(t * weights.sum(axis=1) + h) for h in (-1e-5, 0, 1e-5)], 1e-5, axis=0)[1][:, None]
        ),
    )


def test_a_linear_loss_is_attributed_exactly():
    weights = np.array([[0.0, 1.0, -2.0], [0.5, 0.0, 0.1], [0.0, 0.0, 0.0]])
    found = attribute(along(*losses_of(weights, lambda x: 1.0 + x)), ROWS)
    assert found.effects == pytest.approx(np.broadcast_to(weights, (ROWS, COLUMNS, COLUMNS)), abs=1e-6)
    assert found.complete.all()
    assert found.shown - found.hidden == pytest.approx(found.effects.sum(axis=2), abs=1e-6)


def test_a_smooth_loss_takes_one_stretch_and_a_steep_one_more():
    weights = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    smooth, steep = [], []
    assert attribute(along(*losses_of(weights, np.tanh), calls=smooth), ROWS).complete.all()
    found = attribute(along(*losses_of(60.0 * weights, lambda x: np.tanh(x - 30.0)), calls=steep), ROWS)
    assert len(smooth) == 1
    assert len(steep) > 1
    assert found.complete.all()
    assert (found.gap <= TOLERANCE * np.maximum(1.0, np.abs(found.effects).sum(axis=(1, 2)))).all()


def test_what_no_quadrature_completes_is_said_to_be_incomplete():
    weights = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    value, _ = losses_of(weights, lambda x: np.where(x > 0.7, 3.0, 0.0))
    found = attribute(along(value, lambda t: np.zeros((COLUMNS, COLUMNS))), ROWS)
    assert not found.complete.any()
    undefined = attribute(along(lambda t: np.full(COLUMNS, np.nan), lambda t: np.zeros((COLUMNS, COLUMNS))), ROWS)
    assert not undefined.complete.any()


def test_only_rows_that_need_it_are_integrated_again():
    def gradients(points, weights, rows):
        asked.append(rows.tolist())
        # Row 3 alone has a loss that a few points miss.
        rate = np.where(rows == 3, 200.0, 1.0)
        steps = sum(w * rate * np.exp(-rate * t) for t, w in zip(points, weights, strict=True))
        effects = np.zeros((1, 2, len(rows)))
        effects[0, 1] = steps
        return effects, np.zeros((1, len(rows))), 1.0 - np.exp(-rate)[None]

    asked = []
    attribute(gradients, ROWS)
    assert asked[0] == [0, 1, 2, 3, 4]
    assert asked[1:]
    assert all(rows == [3] for rows in asked[1:])
