"""SciPy without NumPy's translator of Fortran."""

import subprocess
import sys


def says(code: str, repository) -> str:
    words = [sys.executable, "-c", f"import sys\nfrom vr.stats.without_f2py import do_without_f2py\n{code}"]
    return subprocess.run(words, cwd=repository, capture_output=True, text=True, check=True).stdout.strip()


def test_special_functions_load_no_f2py_afterwards(repository):
    use = "from scipy.special import ndtri; print(float(ndtri(0.5)), 'numpy.f2py' in sys.modules)"
    # The day SciPy loads it no more this is for nothing.
    assert says(use, repository) == "0.0 True"
    assert says(f"do_without_f2py(); {use}", repository) == "0.0 False"


def test_whoever_asks_for_it_has_it_all_the_same(repository):
    code = "do_without_f2py(); do_without_f2py(); import numpy; print(callable(numpy.f2py.run_main))"
    assert says(code, repository) == "True"
    assert says(f"import numpy.f2py; {code}", repository) == "True"
