"""What the doctor says of packages and files: an installation made on the disk for each test."""

import base64
import hashlib
import sys
from pathlib import Path

import pytest

from vr.doctor import packages
from vr.doctor.finding import BROKEN, NOTE, OK


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A folder of installed packages that is looked at before all others."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def install(site: Path, name: str, version: str, *lines: str, files: dict[str, str] | None = None) -> None:
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (folder / "METADATA").write_text(head + "".join(f"{line}\n" for line in lines))
    record = []
    for path, text in (files or {}).items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        record.append(f"{path},sha256={digest},{len(text)}")
    (folder / "RECORD").write_text("\n".join(record))


def test_this_installation_has_what_it_needs():
    [found] = packages.needed()
    assert found.state == OK
    assert {"jax", "pyarrow", "grpcio"} <= found.values.keys()
    assert all(found.values.values())


def test_a_package_that_is_missing_or_too_old_is_named(site):
    install(
        site,
        "vr",
        "9.0",
        "Requires-Dist: no-such-package>=1",
        "Requires-Dist: made-up<2,>=1.5",
        "Requires-Dist: other>=1; python_version < '3'",
        "Requires-Dist: grown>=1; extra == 'server'",
    )
    install(site, "made_up", "1.4")
    [found] = packages.needed()
    assert found.state == BROKEN
    assert "no-such-package is missing" in found.said
    assert "made-up is 1.4, and vr wants <2,>=1.5" in found.said
    assert found.values == {"no-such-package": None, "made-up": "1.4"}


def test_extras_are_ok_whole_or_absent_and_a_note_in_part(site):
    install(
        site,
        "vr",
        "9.0",
        *(f"Provides-Extra: {name}" for name in ("whole", "absent", "part", "deep", "dev")),
        "Requires-Dist: made-up; extra == 'whole'",
        "Requires-Dist: no-such-package; extra == 'absent'",
        "Requires-Dist: made-up; extra == 'part'",
        "Requires-Dist: no-such-package; extra == 'part'",
        "Requires-Dist: made-up[gpu]; extra == 'deep'",
        "Requires-Dist: no-such-package; extra == 'dev'",
    )
    install(site, "made_up", "1.4", "Provides-Extra: gpu", "Requires-Dist: no-such-driver; extra == 'gpu'")
    found = {each.values["extra"]: each for each in packages.extras()}
    assert {name: each.state for name, each in found.items()} == {
        "whole": OK,
        "absent": OK,
        "part": NOTE,
        # Without the driver that its own extra is for, it is as good as absent.
        "deep": OK,
    }
    assert "pip install 'vr[absent]'" in found["absent"].said
    assert "no-such-package is missing" in found["part"].said
    assert "not installed" in found["deep"].said


def test_files_are_held_against_the_record(site):
    install(site, "vr", "9.0", files={"vr/__init__.py": "a = 1\n", "vr/data.json": "{}\n", "other/x.py": ""})
    [found] = packages.files()
    assert (found.state, found.values["files"]) == (OK, 2)
    (site / "vr/data.json").write_text("{ }\n")
    [found] = packages.files()
    assert (found.state, found.values["damaged"]) == (BROKEN, ["vr/data.json"])
    (site / "vr/data.json").unlink()
    [found] = packages.files()
    assert found.values["damaged"] == ["vr/data.json"]


def test_a_checkout_has_nothing_to_be_held_against(site):
    install(site, "vr", "9.0", files={"vr/_conf/config.yaml": "a: 1\n"})
    [found] = packages.files()
    assert found.state == OK
    assert "checkout" in found.said
