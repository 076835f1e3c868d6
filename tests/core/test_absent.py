import subprocess
import sys

import pytest

from vr.core.absent import absent


def test_a_library_is_absent_within_the_block_and_there_again_after_it():
    sys.modules.pop("colorsys", None)
    with absent("colorsys"), pytest.raises(ModuleNotFoundError, match="colorsys"):
        import colorsys
    import colorsys

    assert colorsys.rgb_to_hls(0, 0, 0) == (0.0, 0.0, 0.0)


def test_what_is_loaded_already_and_every_other_library_stay():
    import wave

    with absent("wave"):
        import colorsys  # noqa: F401
        import wave as again
    assert again is wave


def test_the_command_does_not_load_pandas(tmp_path, repository):
    pytest.importorskip("pandas")
    (tmp_path / "rows.csv").write_text("a,b\n" + "".join(f"{i},{i % 3}\n" for i in range(50)))
    code = (
        "import sys\nfrom vr.__main__ import command\n"
        "sys.argv = ['vr', 'profile', 'rows.csv', '--quiet']\n"
        "assert command() == 0\nassert 'pyarrow' in sys.modules\nassert 'pandas' not in sys.modules\n"
    )
    path = {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
