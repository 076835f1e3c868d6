"""Settings as plain values and back."""

import json
from dataclasses import dataclass
from enum import Enum

import pytest

from vr.config import compose
from vr.core.errors import ConfigError
from vr.core.plain import from_plain, to_plain
from vr.pipeline.config import Config


@pytest.mark.parametrize(
    "words",
    [
        [],
        *([f"cascade={name}"] for name in ("none", "smoke", "laptop", "h100_large")),
        ["targets=[a,b]", "data.types.a=text", "detector=strict", "data.uri=x.parquet", "tracking=wandb"],
    ],
)
def test_a_configuration_comes_back_as_it_was(words):
    config = compose(words)
    again = from_plain(Config, json.loads(json.dumps(to_plain(config))))
    # The text too: 1 and 1.0 are equal.
    assert again == config
    assert repr(again) == repr(config)


class Kind(Enum):
    one = 1


@dataclass
class Inner:
    kind: Kind | None = None


@dataclass
class Outer:
    inner: Inner | None = None
    kinds: list[Kind] | None = None
    names: dict[str, list[Inner]] | None = None


@pytest.mark.parametrize(
    "settings", [Outer(), Outer(Inner(Kind.one), [Kind.one], {"a": [Inner(), Inner(Kind.one)]}), Outer(Inner())]
)
def test_optional_parts_come_back_as_what_they_were(settings):
    assert from_plain(Outer, to_plain(settings)) == settings


def test_what_comes_back_is_checked():
    document = to_plain(compose([])) | {"engine": {"threads": -1}}
    with pytest.raises(ConfigError, match=r"engine\.threads"):
        from_plain(Config, document)
