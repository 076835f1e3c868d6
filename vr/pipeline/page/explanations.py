"""What the page says about its numbers: the question each dimension answers, and how it is computed."""

from dataclasses import dataclass

__all__ = ["BEYOND", "CALIBRATION", "DIMENSIONS", "SECTIONS", "VERDICTS", "Explanation"]


@dataclass(frozen=True)
class Explanation:
    """`question` is asked in one line above the numbers; `how` stands below them."""

    title: str
    question: str
    how: str


VERDICTS = {
    "approve": "Train on it: a model should do about as well as with as many real rows.",
    "review": "Look before you train: the evidence does not settle it either way.",
    "reject": "Do not train on it as it is: a model is likely to lose skill on real data.",
}

CALIBRATION = {
    "trained": "From trained proxies and statistics, against the reference.",
    "untrained": "From statistics alone, against the reference: no proxy was trained.",
    "trained_for_targets": "From trained proxies and statistics, against the reference, for the columns to predict.",
    "untrained_for_targets": "From statistics alone, against the reference, for the columns to predict: no proxy was "
    "trained.",
    "without_reference": "Without a reference, from the dataset alone: a far weaker witness than with one.",
}
BEYOND = "Outside of anything the calibration has seen, so less sure than it looks:"

NO_WEIGHT = "This dimension carries no weight in the verdict."

DIMENSIONS = {
    "distribution_fidelity": Explanation(
        "Distribution fidelity",
        "Does each column, taken alone, look as it does in the reference?",
        "Each column is cut into bins fitted on the reference: quantile bins for numbers, with bins of their own for "
        "values below and above the reference's range, for nulls and for values that repeat; one bin for each frequent "
        "category. The distances compare the shares of rows in these bins (Kolmogorov-Smirnov, Jensen-Shannon, "
        "Wasserstein-1, chi-squared), random projections of all columns together (sliced Wasserstein), "
        "Gaussian copulas (Hellinger), and the mass that the candidate keeps in the outermost 1 % of the reference. "
        f"{NO_WEIGHT}",
    ),
    "correlation_preservation": Explanation(
        "Correlation preservation",
        "Do columns still depend on one another as they do in the reference?",
        "For every pair of columns a measure of dependence is computed on both sides and subtracted: rank correlation "
        "for two numbers, Cramér's V for two categories, the correlation ratio for one of each. The largest and the "
        "root-mean-square difference are reported. The predictability gap asks how well each column can be predicted "
        "from all others, here and in the reference.",
    ),
    "entropy_stability": Explanation(
        "Entropy stability",
        "Is the variety of the reference still there, rare cases included?",
        "Entropy of columns and of pairs, the order-2 Vendi score (the effective number of distinct rows), and the "
        "share of held-out reference rows that no candidate row comes close to. All are compared at equal numbers of "
        "rows, since each of them grows with rows. Rare patterns are those of the reference that are expected a few "
        "times in a sample of this size; how many are gone tells how often the data has been resampled from itself.",
    ),
    "gradient_health": Explanation(
        "Gradient health",
        "Would training steps on this data point the way that real data points?",
        "At a small network trained on the reference, the gradient of the loss on candidate rows is compared with "
        "that on held-out real rows. The cosine is corrected for noise with two independent half-batches. The "
        "gradient noise scale is judged on both sides: too low means rows that say the same, too high means rows "
        f"that contradict. {NO_WEIGHT}",
    ),
    "loss_landscape": Explanation(
        "Loss landscape",
        "Does training settle somewhere as good, and does more data still help?",
        "The largest eigenvalue of the loss's Hessian on real rows, by Lanczos iteration, after training on either "
        "side; and how much the loss on real rows still falls for each doubling of the training rows. Sharpness "
        f"alone is weak evidence. {NO_WEIGHT}",
    ),
    "spectral_coherence": Explanation(
        "Spectral coherence",
        "Does the variance lie along the same directions, and do series keep their rhythm?",
        "Eigenvalues of the rank-correlation matrix, each as its share of the total, on both sides, and the angles "
        "between the leading directions. Where the data has a date column, the power spectra and the autocorrelation "
        "of the numeric columns along it are compared too.",
    ),
    "generalization_gap": Explanation(
        "Generalization gap",
        "Does a small model trained on it do worse on real rows than one trained on the reference?",
        "Each column is predicted from the others by forests of randomised trees that learn from the candidate, and by "
        "forests that learn from as many reference rows: the share of skill lost is 0 where both do as well on real "
        "rows that neither has seen, and 1 where the first do no better than the mean. "
        "Small networks are trained twice with the same seed, start and order of batches: once on the candidate, "
        "once on the reference. Both are judged on real rows that neither has seen. The number is the logarithm of "
        "the ratio of the two losses, so 0 means equal and 0.1 about 10 % worse. Training on a second part of the "
        "reference gives the null. Of all the numbers here the share of skill lost predicts collapse best.",
    ),
    "statistical_consistency": Explanation(
        "Statistical consistency",
        "Can the two be told apart, and does the candidate keep the reference's rules?",
        "A classifier is trained to tell candidate rows from reference rows and judged on rows it has not seen (0.5: "
        "it cannot). The kernel distance (MMD) and a chi-squared test of joint patterns see whole rows. Rules are "
        "read off the reference (ranges, dependencies, combinations that never occur) and checked in the candidate; "
        "stretches of the file are compared with the whole. Data that can be told apart need not do harm. "
        "It speaks in the verdict where no proxies were trained.",
    ),
}

SECTIONS = {
    "verdict": "The verdict follows from the risk score: the probability, in percent, that a model trained on the "
    "candidate loses a substantial part of its skill on real data. It is read off how far a few numbers lie "
    "from what the reference gives against itself, by a rule in which a greater distance never lowers the risk. All "
    "other numbers on this page explain and carry no weight in it.",
    "null": "A number means little alone: two real samples differ as well. So the reference is split against itself "
    "several times, at the same number of rows, and every number is drawn against that. The scale counts standard "
    "deviations of those splits; to the right is worse. Within the grey band the candidate is as close to the "
    "reference as real data is.",
    "no_null": "No reference was given, so there is nothing to hold these numbers against: what needs one was not "
    "measured, and the rest stands alone.",
    "dimensions": "A score of 100 says that the candidate is as good as real data, 0 that it is as bad as this scale "
    "goes. A dimension that could not be measured has no score and takes no part in the verdict.",
    "cascade": "Small models of several sizes, each trained on the candidate and on the reference under the same seed. "
    "Losses are on real rows held out from both.",
    "scaling": "The loss over the number of parameters N is fitted by A·N⁻ᴮ + C; A is negative where more parameters "
    "raise the loss on real rows. The forecast is shown beside what the largest tier alone says of the excess, and "
    "carries no weight in the verdict: a few sizes pin down a curve only loosely.",
    "rows": "Each candidate row gets a score from 0 to 1: the share of real rows that look less suspicious, so that "
    "real rows average one half. It weighs how likely the row's values are together, its distance to the reference, "
    "copies of the row, and stretches of the file that are off together. row_scores.parquet has every row. Where the "
    "proxies were asked, influence is what training on a row does to their loss on real rows, in standard deviations "
    "from the mean, harm above 0, and a row's loss is shared out over its cells. What is "
    "missing has no row to blame: parts of the reference that the candidate does not cover are listed by column.",
    "recommendations": "Ordered by what to do first; vr fix executes them. A risk afterwards is that of the sample "
    "with this action alone done to it, or, below them, with all that are named. Prices come from the run's price "
    "table, which is yours to set.",
    "diversity": "How much variety the candidate holds. Numbers with a null are compared with the reference at the "
    "same number of rows; missing mass and exact duplicates are those of the two whole files. Clusters are found in a "
    "sample of the reference, and every row goes to that of its nearest row there; a combination of values is named "
    "only where chance would leave not even one in a hundred reports so. Effective values of a column are the "
    "exponential of its entropy: as many equally common values are as varied. The tables do not enter the verdict.",
    "signatures": "What was known before any model was trained: how far the cheap statistics lie from their nulls, and "
    "which datasets of the library, whose loss of skill was measured, lie there too. Similarity is 1 for equal "
    "fingerprints. The verdict does not read it.",
    "dataset": "The columns as they were read. Drift is the Jensen-Shannon divergence between the column's "
    "distributions in candidate and reference, in nats: 0 (the same) to ln 2, which is 0.69 (nothing in common); "
    "beside it what the reference gives against itself.",
    "run": "Everything needed to do it again. The same inputs, configuration and seed give the same report, this "
    "section aside.",
}
