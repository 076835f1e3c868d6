"""Overrides in, checked dataclasses out."""

import gc
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hypothesis import given, settings
from hypothesis import strategies as st

import vr.config
from vr.cascade.config import preset
from vr.config import compose, to_dict
from vr.config_folder import config_folder
from vr.core.errors import ConfigError
from vr.core.garbage import uncollected
from vr.pipeline.config import Config, TrackerKind
from vr.session import configure

PRESETS = ["none", "smoke", "laptop", "workstation", "h100", "h100_large"]
EXPERIMENTS = sorted(file.stem for file in (config_folder() / "experiment").glob("*.yaml"))


def test_the_yaml_defaults_are_the_dataclass_defaults():
    assert compose([]) == Config()


@pytest.mark.parametrize("name", PRESETS)
def test_cascade_files_equal_the_presets(name):
    assert compose([f"cascade={name}"]).cascade == preset(name)


def test_every_cascade_file_has_a_preset():
    assert sorted(file.stem for file in (config_folder() / "cascade").glob("*.yaml")) == sorted(PRESETS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_compose(name):
    assert compose([f"experiment={name}"]).reference.uri == "outputs/demo/reference.parquet"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_say_what_they_ask_and_cost(name):
    text = (config_folder() / "experiment" / f"{name}.yaml").read_text()
    for word in ("question:", "command:", "cost:", "expected:"):
        assert f"# {word}" in text


def test_later_overrides_and_groups_win():
    config = compose(
        ["detector=strict", "detector.review_threshold=5", "tracking=wandb", "tracking.project=p", "seed=7"]
    )
    assert (config.detector.overall_threshold, config.detector.review_threshold, config.seed) == (35.0, 5.0, 7)
    assert config.tracking.kind is TrackerKind.wandb
    assert config.tracking.project == "p"


def test_plans_and_prices_are_chosen_by_name():
    config = compose(["plan=mix", "prices=clinical", "recommendation.prices.currency=EUR"])
    assert config.recommendation.mix_draws == 4
    assert config.recommendation.prices.real_row == 500.0
    assert config.recommendation.prices.currency == "EUR"
    assert compose([]).recommendation.mix_draws == 0


def test_column_types_need_no_plus_sign():
    assert compose(["data.types.zip=categorical"]).data.types == {"zip": "categorical"}
    assert compose(["data.types={a b: text}"]).data.types == {"a b": "text"}


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("no_such_key=1", "no_such_key: no such configuration key; the sections are data, reference, "),
        ("sed=1", "sed: no such configuration key; did you mean seed?"),
        (
            "overall_threshold=9",
            "overall_threshold: no such configuration key; did you mean detector.overall_threshold?",
        ),
        ("detector.null.num_split=9", "did you mean detector.null.num_splits"),
        ("+foo=1", "foo: no such configuration key"),
        (
            "cascade=smok",
            "cascade: no option 'smok'; did you mean smoke? use one of h100, h100_large, laptop, none, smoke",
        ),
        ("cascade=null", "cascade: no option None"),
        ("seed=abc", "seed: Value 'abc' of type 'str' could not be converted to Integer"),
        ("seed=", "seed: Value '' of type 'str'"),
        ("seed=-1", "seed: must lie in 0 to 2**32 - 1, not -1"),
        ("seed=1,2", "seed: several values are a sweep"),
        ("seed=range(1,4)", "seed: several values are a sweep"),
        ("localization.max_rows=1.5", "localization.max_rows: Value '1.5' of type 'float'"),
        ("detector.overall_threshold=500", "(500.0) <= 100"),
        ("detector.null.num_splits=2", "detector.null.num_splits: must be 8 or more, not 2"),
        ("data.batch_rows=0", "batch_rows: must be 1 or more, not 0"),
        ("reference.batch_rows=0", "batch_rows: must be 1 or more, not 0"),
        ("codec.min_text_length=-5", "codec.min_text_length: must be 0 or more, not -5"),
        ("engine.threads=-1", "engine.threads: must be 0 (one for each core) or more, not -1"),
        ("tracking.timeout_s=-1", "tracking.timeout_s: must lie above 0, up to 86,400, not -1"),
        ("tracking.timeout_s=0", "tracking.timeout_s: must lie above 0"),
        ("tracking.timeout_s=nan", "tracking.timeout_s: must lie above 0"),
        ("tracking.timeout_s=inf", "tracking.timeout_s: must lie above 0"),
        ("engine.kind=spark", "engine.kind: Invalid value 'spark', expected one of [local, ray]"),
        ("engine.retries=-1", "engine.retries: must be 0 or more, not -1"),
        ("engine.object_store_bytes=1", "engine.object_store_bytes: must be 83886080 or more, not 1"),
        ("data.types.a=number", "types.a: 'number' is no column type"),
        ("data.types=3", "data.types: Cannot assign int"),
        ("sample=3", "sample: Invalid type assigned"),
        ("hydra.run.dir=x", "hydra.run.dir: Hydra's own settings have no effect here"),
        ("data.uri=a=b", "data.uri=a=b: cannot be read"),
        ("data.uri=${oc.env:VR_NO_SUCH_VARIABLE}", "VR_NO_SUCH_VARIABLE"),
        ("seed", "seed: is neither an option nor KEY=VALUE"),
    ],
)
def test_a_wrong_override_is_one_line_that_names_the_key(override, text):
    with pytest.raises(ConfigError) as caught:
        compose([override])
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_setting_of_the_reference_is_not_called_one_of_the_candidate():
    with pytest.raises(ConfigError) as caught:
        compose(["reference.batch_rows=0"])
    assert "data." not in str(caught.value)


@pytest.mark.parametrize(
    ("base", "text"),
    [
        ({"detektor": {"overall_threshold": 3}}, "detektor.overall_threshold: no such configuration key"),
        ({"detector": {"threshold": 3}}, "detector.threshold: no such configuration key"),
        ({"cascade": "bad"}, "cascade: no option 'bad'"),
        ({"seed": "x"}, "seed: Value 'x'"),
        ({"detector": 3}, "int is not a subclass of DetectorConfig"),
    ],
)
def test_a_wrong_base_is_one_line_too(base, text):
    with pytest.raises(ConfigError) as caught:
        compose([], base=base)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mapping_base_chooses_groups_and_changes_keys():
    config = compose(["seed=4"], base={"cascade": "none", "detector": {"overall_threshold": 60}, "seed": 3})
    assert (config.cascade, config.detector.overall_threshold, config.seed) == (preset("none"), 60.0, 4)
    assert config.detector.review_threshold is None


def test_a_group_override_replaces_the_section_of_the_base():
    base = compose(["cascade=smoke", "cascade.train_rows=77", "seed=5"])
    assert compose([], base=base) == base
    assert compose(["cascade=none"], base=base).cascade == preset("none")
    assert compose(["cascade=none"], base=base).seed == 5


@settings(max_examples=12)
@given(
    uri=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    column=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
)
def test_any_text_passes_through_a_base_unchanged(uri, column):
    config = Config()
    config.data.uri = uri
    config.data.types = {column: "text"}
    assert compose([], base=config) == config


def test_interpolation_in_a_path_is_literal():
    assert compose([], base={"data": {"uri": "a/${b}.csv"}}).data.uri == "a/${b}.csv"


def test_composition_leaves_nothing_global_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compose(["cascade=none"])
    with pytest.raises(ConfigError):
        compose(["no=1"])
    assert not GlobalHydra.instance().is_initialized()
    assert list(tmp_path.iterdir()) == []


def test_compositions_do_not_mix_between_threads():
    found: dict[int, int] = {}

    def work(number: int) -> None:
        found[number] = compose([f"seed={number}"], base={"localization": {"max_rows": number}}).localization.max_rows

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: number for number in range(4)}


def test_configurations_are_plain_values():
    values = to_dict(compose(["tracking=wandb", "cascade=smoke"]))
    assert values["tracking"]["kind"] == "wandb"
    assert values["cascade"]["tiers"][0]["seeds"] == 3
    assert values["cascade"]["network"] == "resonance"


def test_nothing_to_compose_is_the_defaults_themselves():
    given = Config(seed=3)
    assert configure(given) is given
    assert configure() == Config()
    assert configure(None, ["seed=2"]).seed == 2


def test_overrides_alone_are_composed_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []
    monkeypatch.setattr(vr.config, "compose", lambda words: calls.append(words) or compose(words))
    for _ in range(2):
        assert configure(None, ["seed=7", Path("cascade=none")]).seed == 7  # type: ignore[list-item]
    assert len(calls) == 1


@pytest.mark.parametrize("switch", [gc.enable, gc.disable])
def test_the_collector_is_as_it_was_after_modules_were_loaded(switch):
    switch()
    was_on = gc.isenabled()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() is was_on
    finally:
        gc.enable()


def test_composing_reads_no_configuration_of_hydra_itself(repository):
    code = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from vr.config import compose
compose(["cascade=none", "experiment=demo"])
print([path for path in opened if "/hydra/conf/" in path and path.endswith(".yaml")])
print(sum(path.endswith("demo.yaml") for path in opened) > 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "True"]
