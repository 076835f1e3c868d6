"""The harm to expect, from what the verdict reads."""

import json

import numpy as np

from vr.detector.harm import HarmModel, expected_harm, load_harm_model
from vr.detector.metric import Feature
from vr.detector.registry import DIMENSIONS

SPECS = {f"{name}.{metric}": spec for name, dim in DIMENSIONS.items() for metric, spec in dim.metrics.items()}
SKILL = "generalization_gap.skill_lost_trees"


def features(lost, auroc=0.5):
    """A candidate that loses a share of the skill, and is as real as its null in everything but that and the AUROC."""
    found = {name.split(":")[0]: Feature(0.0, 0.01, 0.0, 0.01) for name in load_harm_model().variables}
    found["statistical_consistency.classifier_auroc"] = Feature(auroc, 0.02, 0.5, 0.02)
    return found | {SKILL: Feature(lost, 0.02, 0.0, 0.02)}


def test_harm_is_nought_without_signs_and_rises_with_lost_skill():
    values = [expected_harm(features(lost), SPECS).value for lost in (0.0, 0.1, 0.3, 0.8)]
    assert abs(values[0]) < 0.05
    assert (np.diff(values) > 0).all()
    # All other signs are at their nulls, which no candidate of the study that lost so much showed.
    assert values[3] > 0.4


def test_no_sign_lowers_the_harm():
    at = [expected_harm(features(0.2, auroc), SPECS).value for auroc in (0.4, 0.5, 0.6, 0.7, 0.9)]
    assert (np.diff(at) >= -1e-12).all()
    assert (load_harm_model().weights >= 0).all()
    assert (load_harm_model().slopes >= 0).all()


def test_interval_is_wider_where_more_is_lost():
    few, much = (expected_harm(features(lost), SPECS) for lost in (0.0, 0.8))
    assert few.lower <= few.value <= few.upper
    assert much.upper - much.lower > few.upper - few.lower


def test_what_was_not_measured_counts_as_no_shift_but_lost_skill_must_be():
    known = features(0.3)
    missing = known | {"statistical_consistency.classifier_auroc": Feature.missing("not measured")}
    assert expected_harm(missing, SPECS).value <= expected_harm(known, SPECS).value + 0.1
    assert expected_harm(known | {SKILL: Feature.missing("too few rows")}, SPECS) is None


def test_where_the_skill_lost_at_targets_was_measured_their_model_is_read():
    named = {name: each for name, each in features(0.3).items() if name != SKILL}
    named["generalization_gap.skill_lost_targets"] = Feature(0.3, 0.02, 0.0, 0.02)
    assert expected_harm(named, SPECS) == expected_harm(named, SPECS, load_harm_model(of_targets=True))
    assert expected_harm(named, SPECS).value > 0.1
    # Named, but not to be lost: all columns count.
    unknown = features(0.3) | {"generalization_gap.skill_lost_targets": Feature.missing("no skill to lose")}
    assert expected_harm(unknown, SPECS) == expected_harm(features(0.3), SPECS, load_harm_model())


def test_a_model_survives_json():
    model = load_harm_model()
    again = HarmModel.from_dict(json.loads(json.dumps(model.to_dict())))
    assert expected_harm(features(0.25), SPECS, again) == expected_harm(features(0.25), SPECS, model)


def test_the_error_card_is_of_unseen_datasets_and_sources():
    card = load_harm_model().card
    assert card["protocol"] == "leave-dataset-and-source-out"
    assert card["datasets"] >= 20
    assert card["spearman"][1] > 0.85
