"""What a fingerprint is made of, by name: kept apart, so that reading a library loads nothing that measures."""

__all__ = ["NAMES", "VERSION"]

VERSION = 1  # of what a fingerprint holds; another one is not comparable
# The dimensions that train nothing, and of them what has a null on every table: no rhythm along a date, no whole files.
NAMES = (
    "distribution_fidelity.jensen_shannon_mean",
    "distribution_fidelity.jensen_shannon_max",
    "distribution_fidelity.kolmogorov_smirnov_mean",
    "distribution_fidelity.kolmogorov_smirnov_max",
    "distribution_fidelity.wasserstein_mean",
    "distribution_fidelity.kl_mean",
    "distribution_fidelity.chi_squared_mean",
    "distribution_fidelity.sliced_wasserstein",
    "distribution_fidelity.copula_hellinger",
    "distribution_fidelity.tail_deficit",
    "correlation_preservation.dependence_change_rms",
    "correlation_preservation.dependence_change_max",
    "correlation_preservation.mutual_information_change",
    "correlation_preservation.mutual_information_lost",
    "correlation_preservation.predictability",
    "entropy_stability.coverage_deficit",
    "entropy_stability.entropy_deficit",
    "entropy_stability.pair_entropy_deficit",
    "entropy_stability.uncovered_mass",
    "entropy_stability.rare_patterns_lost",
    "entropy_stability.vendi_deficit",
    "entropy_stability.duplicate_fraction",
    "entropy_stability.effective_generations",
    "spectral_coherence.spectrum_divergence",
    "spectral_coherence.principal_angle",
    "spectral_coherence.effective_rank_change",
)
