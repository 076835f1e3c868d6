"""pyarrow without pandas."""

import subprocess
import sys


def says(code: str, repository) -> str:
    words = [sys.executable, "-c", f"import sys\nimport pyarrow as pa\n{code}"]
    return subprocess.run(words, cwd=repository, capture_output=True, text=True, check=True).stdout.strip()


def test_pyarrow_loads_no_pandas_afterwards(repository):
    use = "pa.array(['a', None]).to_numpy(zero_copy_only=False); pa.array([1, 2]); print('pandas' in sys.modules)"
    assert says(use, repository) == "True"
    assert (
        says(f"from vr.data.without_pandas import do_without_pandas; do_without_pandas(); {use}", repository) == "False"
    )


def test_whoever_imports_it_has_it_all_the_same(repository):
    code = """
from vr.data.without_pandas import do_without_pandas
do_without_pandas()
import pandas
frame = pandas.DataFrame({"x": [1.5, None], "s": ["a", None]})
table = pa.table(frame)
print(table.to_pylist() == [{"x": 1.5, "s": "a"}, {"x": None, "s": None}], table.to_pandas().equals(frame))
"""
    assert says(code, repository) == "True True"
