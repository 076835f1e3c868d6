"""The verdict: monotone, silent about what was not measured, and turning where it was calibrated to."""

import numpy as np
import pytest

from vr.core.errors import ConfigError
from vr.detector.calibration import Calibrated, Calibration, load_calibration
from vr.detector.config import DetectorConfig
from vr.detector.head import Head
from vr.detector.metric import Feature
from vr.detector.reference_free import METRICS
from vr.detector.registry import DIMENSIONS
from vr.detector.verdict import judge, withhold_approval

SPECS = {f"{name}.{metric}": spec for name, d in DIMENSIONS.items() for metric, spec in d.metrics.items()}
LOG_RATIO, COVERAGE = "generalization_gap.log_ratio", "entropy_stability.coverage_deficit"
DEPENDENCE = "correlation_preservation.dependence_change_rms"


def fitted(*names, **changes):
    """A head that gives each feature the weight 6 over 0 to 10 deviations."""
    k = len(names)
    knots, heights = np.tile([0.0, 10.0], (k, 1)), np.tile([0.0, 1.0], (k, 1))
    head = Head(tuple(names), knots, heights, np.full(k, 6.0), -4.0, np.zeros(k))
    logits = np.linspace(-4.0, 8.0, 101)
    document = {
        "head": head,
        "slope": 1.0,
        "intercept": 0.0,
        "logits": logits,
        "positive": logits > 0.0,
        "approve_below": 0.3,
        "detected_from": 0.4,
        "reject_from": 0.6,
        "fresh": dict.fromkeys(names, 0.0),
        "ranges": dict.fromkeys(names, (-5.0, 50.0)),
        "card": {},
    }
    return Calibrated(**(document | changes))


CALIBRATION = Calibration("test", {"trained": fitted(LOG_RATIO, COVERAGE), "untrained": fitted(COVERAGE, DEPENDENCE)})


def features(**deviations):
    """Features so many deviations on the harmful side of their null."""
    found = {}
    for name in (LOG_RATIO, COVERAGE, DEPENDENCE):
        shift = deviations.get(name.split(".")[1], 0.0) * SPECS[name].floor
        found[name] = Feature(0.5 + shift, 0.0, 0.5, 0.0)
    return found


def verdict(found, config=None, calibration=CALIBRATION):
    return judge(found, SPECS, config or DetectorConfig(), with_reference=True, calibration=calibration)


@pytest.mark.parametrize("metric", ["log_ratio", "coverage_deficit"])
def test_every_feature_can_only_raise_the_risk(metric):
    steps = [verdict(features(**{metric: z})).probability for z in (-5.0, 0.0, 2.0, 5.0, 50.0)]
    assert steps == sorted(steps)
    assert steps[1] < steps[2] < steps[3]


def test_the_shipped_heads_can_only_raise_the_risk():
    for situation in load_calibration().heads.values():
        head = situation.head
        assert (head.weights >= 0).all()
        assert (np.diff(head.heights, axis=1) >= 0).all()
        assert (np.diff(head.knots, axis=1) >= 0).all()
        assert situation.slope > 0


def test_the_verdict_turns_at_the_calibrated_thresholds():
    found = [verdict(features(log_ratio=z)) for z in (0.0, 5.4, 9.0)]
    assert [each.verdict for each in found] == ["approve", "review", "reject"]
    assert found[0].probability < 0.3 < found[1].probability < 0.6 < found[2].probability


def test_the_two_way_answer_turns_within_review_and_never_against_the_verdict():
    found = [verdict(features(log_ratio=z)) for z in (5.4, 6.4)]
    assert [each.verdict for each in found] == ["review", "review"]
    assert [each.detected for each in found] == [False, True]
    assert verdict(features(log_ratio=5.4), DetectorConfig(overall_threshold=20.0)).detected
    assert not verdict(features(log_ratio=6.4), DetectorConfig(review_threshold=90.0)).detected


def test_thresholds_of_the_configuration_come_first():
    found = features(log_ratio=5.4)
    assert verdict(found, DetectorConfig(overall_threshold=20.0)).verdict == "reject"
    assert verdict(found, DetectorConfig(review_threshold=90.0)).verdict == "approve"
    with pytest.raises(ConfigError, match="review_threshold"):
        DetectorConfig(overall_threshold=20.0, review_threshold=30.0)


def test_without_proxies_or_their_null_the_statistics_judge():
    found = features(coverage_deficit=9.0, dependence_change_rms=9.0)
    without_null = verdict(found | {LOG_RATIO: Feature(0.5, 0.0)})
    assert without_null.situation == "untrained"
    assert {driver.name for driver in without_null.drivers} == {COVERAGE, DEPENDENCE}
    assert verdict(found).situation == "trained"


def test_named_targets_are_judged_by_heads_of_their_own():
    targets = "generalization_gap.skill_lost_targets"
    heads = CALIBRATION.heads | {
        "trained_for_targets": fitted(targets, LOG_RATIO),
        "untrained_for_targets": fitted(targets, COVERAGE),
    }
    calibration = Calibration("test", heads)
    lost = Feature(0.5, 0.0, 0.0, 0.0)
    with_proxies = verdict(features() | {targets: lost}, calibration=calibration)
    assert (with_proxies.situation, with_proxies.verdict) == ("trained_for_targets", "reject")
    alone = {name: each for name, each in features().items() if name != LOG_RATIO} | {targets: lost}
    assert verdict(alone, calibration=calibration).situation == "untrained_for_targets"
    # Named, but with no skill to lose.
    unknown = features() | {targets: Feature.missing("no skill to lose")}
    assert verdict(unknown, calibration=calibration).situation == "trained"


def test_drivers_are_counted_from_fresh_rows_by_falling_part():
    drivers = verdict(features(log_ratio=5.0, coverage_deficit=2.0)).drivers
    assert [driver.name for driver in drivers] == [LOG_RATIO, COVERAGE]
    assert [driver.contribution for driver in drivers] == pytest.approx([3.0, 1.2])
    assert drivers[0].excess == pytest.approx(5.0)
    assert verdict(features(log_ratio=-3.0)).drivers[0].contribution == 0.0


def test_variables_of_one_metric_are_one_driver():
    heads = {"trained": fitted(COVERAGE, f"{COVERAGE}:raw")}
    found = verdict(features(coverage_deficit=5.0), calibration=Calibration("test", heads))
    assert [driver.name for driver in found.drivers] == [COVERAGE]


def test_uncertain_features_widen_the_interval():
    sure, unsure = features(log_ratio=5.0), features(log_ratio=5.0)
    unsure[LOG_RATIO] = Feature(unsure[LOG_RATIO].value, 0.02, 0.5, 0.0)
    widths = [found.upper - found.lower for found in map(verdict, (sure, unsure))]
    assert widths[1] > widths[0] > 0
    for found in map(verdict, (sure, unsure)):
        assert found.lower <= found.probability <= found.upper


def test_what_the_calibration_has_not_seen_is_named():
    assert verdict(features(coverage_deficit=60.0)).beyond == (SPECS[COVERAGE].label,)
    assert verdict(features(coverage_deficit=40.0)).beyond == ()


def test_what_was_not_measured_moves_nothing_and_approves_nothing():
    calm = verdict(features()).probability
    found = verdict({COVERAGE: features()[COVERAGE]})
    assert found.situation == "untrained"
    assert found.probability == pytest.approx(calm)
    assert found.verdict == "review"
    assert SPECS[DEPENDENCE].label in found.reason
    # A rejection needs no more than what was measured.
    assert verdict({COVERAGE: features(coverage_deficit=9.5)[COVERAGE]}).verdict == "reject"


def test_a_head_that_only_reviews_says_nothing_else():
    heads = {name: head.reviewing_only() for name, head in CALIBRATION.heads.items()}
    for z in (0.0, 5.0, 50.0):
        found = verdict(features(log_ratio=z, coverage_deficit=z), calibration=Calibration("test", heads))
        assert (found.verdict, found.detected) == ("review", False)


def test_without_a_reference_the_words_ask_for_one():
    heads = {"without_reference": fitted("reference_free.duplicates:raw").reviewing_only()}
    measured = {"reference_free.duplicates": Feature(0.4)}
    found = judge(measured, METRICS, DetectorConfig(), with_reference=False, calibration=Calibration("test", heads))
    assert found.probability is not None
    assert (found.verdict, found.situation) == ("review", "without_reference")
    assert "--reference" in found.reason


def test_nothing_measured_has_no_probability():
    found = verdict({})
    assert found.probability is found.lower is found.upper is None
    assert found.verdict == "review"
    assert found.reason


def test_an_approval_can_be_withheld_and_nothing_else():
    assert withhold_approval(verdict(features()), "why").verdict == "review"
    assert withhold_approval(verdict(features(log_ratio=9.0)), "why").verdict == "reject"


@pytest.mark.parametrize("suffix", ["trees", "targets"])
def test_data_that_knows_the_reference_is_not_approved(suffix):
    share = f"generalization_gap.skill_lost_{suffix}"
    floor = SPECS[share].floor
    heads = CALIBRATION.heads | {"trained_for_targets": CALIBRATION.heads["trained"]}
    quiet, calibration = features(), Calibration("test", heads)
    for value, expected in ((-1.9 * floor, "approve"), (-2.1 * floor, "review")):
        found = verdict(quiet | {share: Feature(value, 0.0, 0.0, 0.0)}, calibration=calibration)
        assert found.verdict == expected
    assert "its generator has not seen" in found.reason
    # Any other verdict stays.
    known = features(log_ratio=20.0) | {share: Feature(-1.0, 0.0, 0.0, 0.0)}
    assert verdict(known, calibration=calibration).verdict == "reject"


def test_the_words_of_a_verdict_go_with_its_risk():
    def reason(probability):
        # One feature of weight 6 over ten deviations, bias -4.
        deviations = (np.log(probability / (1 - probability)) + 4.0) / 0.6
        return verdict(features(log_ratio=deviations)).reason

    assert reason(0.1).startswith("no sign")
    assert reason(0.25).startswith("no strong sign")
    assert "lean towards collapse" not in reason(0.35)
    assert "lean towards collapse" in reason(0.5)
    assert "will lose skill" in reason(0.7)


def test_the_line_of_the_card_says_what_being_made_from_the_reference_costs():
    heads = load_calibration().heads
    assert "made from the reference itself" in heads["trained"].line()
    share = 100 * heads["trained"].card["from_reference"]["collapsed_approved"][0]
    assert f"itself, {share:.1f} %" in heads["trained"].line()
    assert "made from the reference" not in heads["without_reference"].line()
    assert "clear cases of one target of" in heads["trained_for_targets"].line("one_target")
