"""Signatures and documents of them: what one writes another reads, and what is wrong is named."""

import json

import pytest

from tests.signatures.examples import signatures
from vr.core.errors import DataError
from vr.signatures.components import NAMES
from vr.signatures.document import load_shipped, read_document, to_text
from vr.signatures.fingerprint import SPECS
from vr.signatures.signature import Origin, Outcome, Signature


def test_a_document_gives_back_what_was_written(tmp_path):
    some = signatures(12)
    path = tmp_path / "some.json"
    path.write_text(to_text(some, {"made": "here"}))
    found = read_document(path)
    assert list(found.signatures) == some
    assert found.provenance == {"made": "here"}


def test_an_id_is_of_the_contents_however_they_were_typed():
    whole = Signature((1,) * len(NAMES), Origin("d", strength=1), Outcome("healthy", 0))  # type: ignore[arg-type]
    real = Signature((1.0,) * len(NAMES), Origin("d", strength=1.0), Outcome("healthy", 0.0))
    assert whole.id == real.id
    assert whole.with_outcome(Outcome("collapsed", 0.5)).id != whole.id


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("outcome", "label"), "fine", "outcome.label: must be one of healthy"),
        (("outcome", "skill_lost"), "much", "outcome.skill_lost: must be a finite number"),
        (("outcome", "skill_lost"), True, "outcome.skill_lost: must be a finite number"),
        (("origin", "generation"), -1, "origin.generation: must be a whole number"),
        (("origin", "dataset"), "x" * 201, "origin.dataset: must be printable text"),
        (("origin", "dataset"), "a\x1b[31m", "origin.dataset: must be printable text"),
        (("collapse_type",), "total", "collapse_type: must be null or one of"),
        (("fingerprint",), [0.0], "fingerprint: must have 26 components"),
        (("fingerprint", 3), 1e300, "fingerprint[3]: must lie in"),
        (("fingerprint", 3), 10**400, "fingerprint[3]: must lie in"),
        (("origin", "strength"), -(10**400), "origin.strength: must lie in"),
        (("more",), 1, "has an unknown field 'more'"),
        (("origin", "source"), "another", "do not give its id"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, path, value, words):
    document = json.loads(to_text(signatures(2), {}))
    place = document["signatures"][1]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    file = tmp_path / "some.json"
    file.write_text(json.dumps(document))
    with pytest.raises(DataError) as caught:
        read_document(file)
    assert str(caught.value).startswith(f"{file}: signatures[1]") or "sig-" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("{}", "is no document of signatures"),
        ('{"format": 1}', "has fingerprints of another kind"),
        ('{"format": 1, "x": NaN}', "is no JSON"),
    ],
)
def test_what_is_no_document_is_refused(tmp_path, text, words):
    file = tmp_path / "some.json"
    file.write_text(text)
    with pytest.raises(DataError, match=words):
        read_document(file)


def test_every_component_is_a_metric_that_needs_no_proxy():
    assert len(set(NAMES)) == len(NAMES) == 26
    assert not [name for name in NAMES if SPECS[name].proxies]


def test_the_shipped_library_is_whole_and_small(repository):
    path = repository / "vr" / "signatures" / "shipped.json"
    assert path.stat().st_size < 1_000_000
    shipped = load_shipped()
    # It is read unchecked: it is what checking gives, in every value and type.
    checked = read_document(path)
    assert repr(shipped) == repr(checked)
    assert shipped == checked
    assert len({each.id for each in shipped.signatures}) == len(shipped.signatures) > 500
    assert {each.outcome.label for each in shipped.signatures} == {"healthy", "grey", "collapsed"}
    assert len({each.origin.dataset for each in shipped.signatures}) >= 20
    assert shipped.provenance["command"] == "python -m experiments.fit_signatures"


def test_the_shipped_library_says_of_collapse_what_kind_it_is():
    collapsed = [each for each in load_shipped().signatures if each.outcome.label == "collapsed"]
    named = [each for each in collapsed if each.collapse_type is not None]
    assert len(named) > 0.5 * len(collapsed)
    assert not [e for e in load_shipped().signatures if e.outcome.label != "collapsed" and e.collapse_type]
