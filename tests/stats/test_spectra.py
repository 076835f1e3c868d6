import numpy as np
import pytest
from scipy import linalg, signal, stats

from vr.stats import spectra as sp


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def _correlation(rng, d=6):
    return np.corrcoef(rng.normal(size=(d, 4 * d)) + rng.normal(size=4 * d))


def test_normalised_spectrum_are_the_shares_of_eigenvalues(rng):
    corr = _correlation(rng)
    np.testing.assert_allclose(sp.normalised_spectrum(corr), np.sort(linalg.eigvalsh(corr))[::-1] / 6)
    assert np.isnan(sp.normalised_spectrum(np.full((2, 2), np.nan))).all()
    assert np.isnan(sp.normalised_spectrum(np.zeros((2, 2)))).all()


def test_spectrum_divergence_matches_scipy(rng):
    p, q = _correlation(rng), _correlation(rng)
    shares = [np.sort(linalg.eigvalsh(corr))[::-1] for corr in (p, q)]
    middle = (shares[0] + shares[1]) / 2
    expected = np.mean([stats.entropy(share, middle) for share in shares])
    assert sp.spectrum_divergence(p, q) == pytest.approx(expected)
    assert sp.spectrum_kl_divergence(p, q, floor=0.0) == pytest.approx(stats.entropy(*shares))


def test_spectrum_divergence_limits(rng):
    corr = _correlation(rng)
    rotation = linalg.qr(rng.normal(size=(6, 6)))[0]
    assert sp.spectrum_divergence(corr, corr) == 0.0
    # A rotation moves directions and leaves the spectrum.
    assert sp.spectrum_divergence(corr, rotation @ corr @ rotation.T) == pytest.approx(0.0, abs=1e-12)
    collapsed = np.ones((6, 6))
    assert 0.2 < sp.spectrum_divergence(np.eye(6), collapsed) < np.log(2)
    assert np.isfinite(sp.spectrum_kl_divergence(np.eye(6), collapsed))
    assert np.isnan(sp.spectrum_divergence(corr, np.full((6, 6), np.nan)))


def test_principal_angles_of_a_known_rotation():
    corr = np.diag([5.0, 1.0, 0.1])
    for angle in (1e-5, 0.3, np.pi / 2):
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        assert sp.principal_angles(corr, turn @ corr @ turn.T, 1)[0] == pytest.approx(angle, rel=1e-6)
        np.testing.assert_allclose(sp.principal_angles(corr, turn @ corr @ turn.T, 2), 0.0, atol=1e-7)


def test_principal_angles_match_svd_of_leading_eigenvectors(rng):
    p, q = _correlation(rng), _correlation(rng)
    for k in range(1, 7):
        bases = [np.linalg.svd(corr)[0][:, :k] for corr in (p, q)]
        np.testing.assert_allclose(sp.principal_angles(p, q, k), linalg.subspace_angles(*bases), atol=1e-7)
    assert np.isnan(sp.principal_angles(p, np.full((6, 6), np.nan), 2)).all()


def test_effective_rank_limits(rng):
    assert sp.effective_rank(np.eye(7)) == pytest.approx(7.0)
    assert sp.effective_rank(np.ones((7, 7))) == pytest.approx(1.0)
    assert sp.effective_rank(np.eye(1)) == 1.0
    corr = _correlation(rng)
    assert sp.effective_rank(corr) == pytest.approx(np.exp(stats.entropy(linalg.eigvalsh(corr))))
    assert np.isnan(sp.effective_rank(np.full((2, 2), np.nan)))


def test_welch_distance_ignores_level_and_scale(rng):
    x = signal.lfilter([1], [1, -0.8], rng.normal(size=4000))
    assert sp.welch_spectrum_distance(x, 5 * x + 100) == pytest.approx(0.0, abs=1e-9)


def test_welch_distance_of_filtered_noise_is_the_filters_response(rng):
    x, y = rng.normal(size=200_000), signal.lfilter([1], [1, -0.9], rng.normal(size=200_000))
    frequencies = np.arange(1, 129) / 256 * 2 * np.pi
    response = 1 / np.abs(1 - 0.9 * np.exp(-1j * frequencies)) ** 2 * (1 - 0.81)
    expected = np.sqrt(np.mean((10 * np.log10(response)) ** 2))
    assert sp.welch_spectrum_distance(x, y) == pytest.approx(expected, rel=0.03)


def test_welch_distance_tells_rhythm_from_resampling_noise(rng):
    time = np.arange(2000)
    noise, fresh = rng.normal(size=2000), rng.normal(size=2000)
    wave = noise + 2 * np.sin(2 * np.pi * time / 12)
    assert sp.welch_spectrum_distance(wave, fresh) > 2 * sp.welch_spectrum_distance(noise, fresh)
    assert sp.welch_spectrum_distance(noise, fresh) < 2.5


def test_welch_distance_limits(rng):
    x = rng.normal(size=100)
    assert np.isnan(sp.welch_spectrum_distance(x, np.full(100, 0.1)))
    assert np.isnan(sp.welch_spectrum_distance(x[:7], x))
    assert np.isfinite(sp.welch_spectrum_distance(np.tile([0.0, 1.0], 50), x))


def test_autocorrelation_matches_direct_sums(rng):
    x = rng.normal(size=(50, 2)).cumsum(axis=0)
    centred = x - x.mean(axis=0)
    expected = [(centred[: 50 - lag] * centred[lag:]).sum(axis=0) / (centred**2).sum(axis=0) for lag in range(6)]
    np.testing.assert_allclose(sp.autocorrelation(x, 5), expected)
    np.testing.assert_allclose(sp.autocorrelation(x[:, 0], 5), np.array(expected)[:, 0])


def test_autocorrelation_of_an_autoregression_decays(rng):
    x = signal.lfilter([1], [1, -0.7], rng.normal(size=100_000))
    np.testing.assert_allclose(sp.autocorrelation(x, 4), 0.7 ** np.arange(5), atol=0.02)


def test_autocorrelation_limits(rng):
    assert np.isnan(sp.autocorrelation(np.full(20, 0.1), 3)).all()
    assert np.isnan(sp.autocorrelation(np.zeros(0), 3)).all()
    assert sp.autocorrelation(np.array([1.0, 2.0]), 4).tolist() == pytest.approx([1.0, -0.5, 0.0, 0.0, 0.0])
    assert np.isnan(sp.autocorrelation(np.array([1.0]), 1)).all()
