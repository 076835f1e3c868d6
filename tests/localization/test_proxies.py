"""What trained proxies say of rows of which the truth is known, and how it gets into the report."""

import numpy as np
import pyarrow as pa
import pytest

from tests.cascade.test_train import NUM_CODES, config, table
from vr.cascade.config import CascadeConfig, TierConfig, preset
from vr.cascade.train import run_cascade
from vr.data.source import open_source
from vr.localization.proxies import Proxies
from vr.pipeline.config import Config
from vr.pipeline.validate import validate

BROKEN = np.arange(0, 600, 12)


@pytest.fixture(scope="module")
def asked():
    """Column c follows from a and b; of some candidate rows it contradicts them."""
    candidate = table(600, 1)
    candidate[BROKEN, 2] = 1 + candidate[BROKEN, 2] % 4
    networks = run_cascade(table(1_500, 0), candidate, NUM_CODES, config(), 0, keep_networks=True).networks
    proxies = Proxies(networks, np.arange(4), influence=True, gradients=True)
    order = np.concatenate([BROKEN, np.setdiff1d(np.arange(600), BROKEN)])
    return networks, candidate[order], proxies.ask(candidate[order])


def test_broken_rows_do_harm(asked):
    _, _, found = asked
    broken, sound = found.influence[: len(BROKEN)], found.influence[len(BROKEN) :]
    assert broken.mean() > 0.5 > sound.mean()
    assert np.mean(broken[:, None] > sound) > 0.8
    # In deviations from the candidate's own mean.
    assert abs(found.influence.mean()) < 0.2
    assert 0.7 < found.influence.std() < 1.3


def test_the_loss_of_the_worst_rows_is_shared_out_in_full(asked):
    networks, codes, found = asked
    expected = np.zeros(100)
    for seed in range(len(networks)):
        chances = networks.last_layer("reference", seed, codes[:100], np.arange(4)).probabilities
        chosen = np.take_along_axis(chances, codes[:100].T.astype(int)[:, :, None], axis=2)[:, :, 0]
        expected -= np.log(chosen).sum(axis=0) / len(networks)
    complete = [i for i in range(100) if found.cells[i] is not None]
    assert len(complete) > 95
    assert np.array([found.cells[i].sum() for i in complete]) == pytest.approx(expected[complete], abs=0.1)
    assert all(each is None for each in found.cells[100:])


def test_the_broken_cell_has_the_greatest_share(asked):
    _, _, found = asked
    shares = np.array([found.cells[i] for i in range(len(BROKEN)) if found.cells[i] is not None])
    assert np.mean(shares.argmax(axis=1) == 2) > 0.7
    assert shares[:, 2].mean() > 2.0 * shares[:, 3].mean()


def test_only_what_is_asked_for_is_worked_out(asked):
    networks, codes, both = asked
    influence = Proxies(networks, np.arange(4), influence=True, gradients=False).ask(codes[:20])
    gradients = Proxies(networks, np.arange(4), influence=False, gradients=True).ask(codes[:20])
    assert influence.influence == pytest.approx(both.influence[:20], rel=1e-9)
    assert influence.cells == [None] * 20
    assert np.isnan(gradients.influence).all()
    assert Proxies(networks, np.arange(4), influence=True, gradients=True).ask(codes[:0]).cells == []


def small(**localization):
    tiers = [TierConfig(name="tier_1", seeds=2, width=6, depth=1, steps=40)]
    settings = Config(cascade=CascadeConfig(tiers=tiers, train_rows=300, test_rows=150))
    for name, value in localization.items():
        setattr(settings.localization, name, value)
    return settings


def frame(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    y = x + 0.2 * rng.standard_normal(rows)
    if seed:
        y[:30] = rng.permutation(y[:30])
    days = (np.datetime64("2024-01-01T00", "h") + rng.integers(0, 10_000, rows)).astype("datetime64[s]")
    return pa.table({"x": x, "y": y, "g": np.where(x > 0, "up", "down"), "at": days})


def validated(settings):
    return validate(*(open_source(frame(800, seed)) for seed in (1, 0)), settings, html=False)


def test_the_report_has_both_for_the_rows_that_it_lists_whatever_the_batches():
    report = validated(small(influence=True, gradients=True))
    rows = report.localization.rows
    assert rows
    assert all(row.influence is not None for row in rows)
    assert set(rows[0].cells) == {"x", "y", "g", "at"}
    assert report.localization.proxies_reason is None
    other = small(influence=True, gradients=True)
    other.data.batch_rows, other.engine.threads = 97, 1
    assert validated(other).localization == report.localization


def test_without_being_asked_for_there_is_neither():
    rows = validated(small()).localization.rows
    assert {(row.influence, len(row.cells)) for row in rows} == {(None, 0)}


def test_where_no_proxy_was_trained_the_report_says_why():
    settings = small(influence=True)
    settings.cascade = preset("none")
    section = validated(settings).localization
    assert "cascade=none" in section.proxies_reason
    assert all(row.influence is None for row in section.rows)
