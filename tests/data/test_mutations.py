"""Five thousand damaged files of every format: each is read, or refused with one line.

`make fuzz` reads ten times as many. What fails here names its seed: `mutant(corpus(), seed)` is the file.
"""

import re
from collections import Counter
from dataclasses import replace
from time import sleep

import pytest

from benchmarks.hostile_corpus import corpus
from benchmarks.hostile_files import Outcome, fuzz, mutant, summarised
from vr.core.errors import DataError
from vr.data.config import Isolation, ReadingConfig
from vr.data.formats.locate import format_by_name
from vr.data.source import open_source

COUNT, PARTS = 5_000, 5
IMPATIENT = ReadingConfig(isolation=Isolation.always, silence_s=10.0)


@pytest.mark.parametrize("part", range(PARTS))
def test_damaged_files_are_read_or_refused(tmp_path, part):
    seeds = range(1_000_000 + part, 1_000_000 + COUNT, PARTS)
    outcomes = list(fuzz(seeds, tmp_path))
    assert [each.seed for each in outcomes] == list(seeds)
    assert [each for each in outcomes if each.result == "untyped"] == []
    # A library may go round in circles or crash, in a process of its own: there that is one line, too.
    files = corpus()
    for each in outcomes:
        if each.result in ("died", "hung"):
            (tmp_path / each.name).write_bytes(mutant(files, each.seed)[1])
            with pytest.raises(DataError, match=re.escape(each.name)):
                list(open_source(tmp_path / each.name, reading=IMPATIENT).batches())
    assert [each for each in outcomes if "\n" in each.said] == []
    # Damage that is never noticed, or always before anything is parsed, would test nothing.
    counts = Counter(each.result for each in outcomes)
    assert counts["read"] > len(outcomes) // 20
    deep = [each for each in outcomes if each.said and "looks like" not in each.said]
    assert len(deep) > len(outcomes) // 2


def test_the_corpus_holds_every_format_and_is_sound(tmp_path):
    files = corpus()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert sum(batch.num_rows for batch in open_source(tmp_path / name).batches()) == 60
    formats = {format_by_name(name) for name in files}
    assert formats == {"parquet", "arrow", "csv", "tsv", "json", "jsonl", "hdf5", "xlsx"}


def test_a_seed_is_a_file():
    files = corpus()
    sleep(1.1)  # some formats know the second they were written in
    again = corpus()
    assert again == files
    for seed in range(40):
        assert mutant(files, seed) == mutant(again, seed)
    assert mutant(files, 0) != mutant(files, len(files))


def test_a_few_from_a_process_of_their_own(tmp_path):
    files = corpus()
    for seed in range(20):
        name, content, _ = mutant(files, 2_000_000 + seed)
        (tmp_path / name).write_bytes(content)
        said = []
        for isolation in (Isolation.never, Isolation.always):
            try:
                list(open_source(tmp_path / name, reading=ReadingConfig(isolation=isolation)).batches())
            except DataError as error:
                # How much memory could not be had depends on the limit.
                said.append(str(error).partition(" (")[0])
            else:
                said.append("")
        assert said[0] == said[1], seed


def test_the_summary_counts_what_was_lost():
    outcome = Outcome(1, "a.csv.gz", "flip", "refused", 0.002, "x")
    lost = replace(outcome, seed=2, result="died")
    summary = summarised([outcome, outcome, lost])
    assert summary["results"] == {"refused": 2, "died": 1}
    assert summary["by_format"] == {"csv": {"refused": 2, "died": 1}}
    assert summary["refused_ms"] == {"p50": 2.0, "p99": 2.0, "max": 2.0}
    assert [each["seed"] for each in summary["processes_lost"]] == [2]
