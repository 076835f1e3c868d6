"""What is kept of compiled loops: found again, made anew where it is damaged, done without where it cannot be kept."""

import shutil
import subprocess
import sys

import numba
import numpy as np
import pytest

from vr.stats.compiled import compiled, kept_in


def twice(x):
    return 2 * x


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def hits(function) -> int:
    assert function(np.arange(3)).tolist() == [0, 2, 4]
    return sum(function.stats.cache_hits.values())


def test_what_was_compiled_once_is_found_again(folder):
    assert kept_in().is_relative_to(folder)
    assert hits(compiled(twice)) == 0
    assert hits(compiled(twice)) == 1


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:-20], lambda whole: b"\x00" * len(whole)])
def test_a_damaged_file_is_made_anew(folder, ending, damage):
    hits(compiled(twice))
    (path,) = folder.rglob(f"*{ending}")
    path.write_bytes(damage(path.read_bytes()))
    assert hits(compiled(twice)) == 0
    assert hits(compiled(twice)) == 1


def test_where_nothing_can_be_written_any_more_it_is_compiled_and_not_kept(folder):
    function = compiled(twice)
    shutil.rmtree(folder)
    folder.write_bytes(b"a file in the folder's place")
    assert hits(function) == 0
    assert folder.is_file()


def test_where_no_folder_can_be_had_it_is_compiled_and_not_kept(monkeypatch):
    monkeypatch.setattr("numba.core.caching.CacheImpl._locator_classes", [])
    function = compiled(twice)
    assert hits(function) == 0
    assert kept_in() is None


def test_what_is_kept_is_loaded_without_what_compiles(repository):
    warm = "from vr.stats.forests import warm_up; warm_up(); import sys; print('numba.np.arraymath' in sys.modules)"
    words = [sys.executable, "-c", warm]
    # The first one may have to compile.
    told = [subprocess.run(words, cwd=repository, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert told[1] == "False\n"
