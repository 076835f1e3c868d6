"""The page of the pre-screen says what the committed results say, and the results are of the shipped files."""

import json

from benchmarks.collapse.accuracy_page import fill
from benchmarks.collapse.signatures_page import PAGE, tables
from benchmarks.measure import RESULTS
from vr.signatures.prescreen import load_prescreen


def test_the_page_is_of_the_committed_results():
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in tables().items():
        assert fill(page, name, lines) == page, name


def test_the_shipped_card_is_that_of_the_results():
    assert load_prescreen().card == json.loads((RESULTS / "signatures.json").read_text(encoding="utf-8"))["card"]
