"""Templates that were compiled before."""

import os
import subprocess
import sys


def test_a_template_is_compiled_once(repository, tmp_path):
    code = """
import jinja2
compiled = []
compile = jinja2.Environment.compile
jinja2.Environment.compile = lambda *args, **settings: compiled.append(1) or compile(*args, **settings)
from vr.pipeline.page.templating import environment
code = environment().get_template("summary.html.j2").root_render_func.__code__
print(hash(code.co_code), len(compiled))
"""

    def says() -> list[str]:
        env = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=repository, env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    first, second = says(), says()
    assert first[0] == second[0]
    assert (first[1] != "0", second[1]) == (True, "0")
    for file in (tmp_path / "vr" / "pages").iterdir():
        file.write_bytes(file.read_bytes()[:-10])
    assert says() == first
