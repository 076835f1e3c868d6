"""Which packages are there, whether their versions are those that vr was made for, and whether its own files are whole.

What is needed stands in the metadata of the installed vr, so that there is one list of it.
"""

import base64
import hashlib
import importlib.metadata
import re
from collections.abc import Iterator
from typing import Any

from vr.doctor.finding import BROKEN, NOTE, OK, Finding

__all__ = ["extras", "files", "needed"]

# Of people who work on vr itself.
_FOR_DEVELOPERS = ("dev", "datasets", "peers")


def needed() -> Iterator[Finding]:
    """Yields whether every package that vr cannot do without is there, in a version that it was made for."""
    found, wrong = _of_extra(None)
    if wrong:
        yield Finding("packages", BROKEN, "; ".join(wrong), "pip install --upgrade vr", found)
        return
    yield Finding("packages", OK, ", ".join(f"{name} {version}" for name, version in found.items()), None, found)


def extras() -> Iterator[Finding]:
    """Yields for every extra whether its packages are there; only one that is there in part or outdated is a note."""
    metadata = importlib.metadata.metadata("vr")
    for extra in metadata.get_all("Provides-Extra") or []:
        if extra in _FOR_DEVELOPERS:
            continue
        found, wrong = _of_extra(extra)
        there = {name: version for name, version in found.items() if version is not None}
        values, name = {"extra": extra, "packages": found}, f"extra {extra}"
        command = f"pip install 'vr[{extra}]'"
        if not wrong:
            yield Finding(name, OK, ", ".join(f"{each} {version}" for each, version in there.items()), None, values)
        elif not there:
            yield Finding(name, OK, f"not installed ({command})", None, values)
        else:
            yield Finding(name, NOTE, "; ".join(wrong), f"{command}, if it is to be used", values)


def files() -> Iterator[Finding]:
    """Yields whether the package's files are those that were installed, by the digests of the wheel's own record."""
    distribution = importlib.metadata.distribution("vr")
    recorded = [
        each for each in distribution.files or [] if each.hash is not None and each.parts[0] in ("vr", "synthetic")
    ]
    # Of a checkout that is installed in place, only what is made for a wheel is recorded.
    if not any(each.parts == ("vr", "__init__.py") for each in recorded):
        yield Finding("files", OK, "a checkout: nothing is recorded that they could be held against")
        return
    damaged = []
    for each in recorded:
        assert each.hash is not None
        try:
            digest = hashlib.new(each.hash.mode, each.read_binary()).digest()
        except OSError:
            digest = b""
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != each.hash.value:
            damaged.append(str(each))
    values = {"files": len(recorded), "damaged": damaged}
    if damaged:
        said = f"{len(damaged)} of {len(recorded)} are not what was installed: {', '.join(damaged[:3])}"
        yield Finding("files", BROKEN, said, "pip install --force-reinstall vr", values)
        return
    yield Finding("files", OK, f"all {len(recorded)} are what was installed", None, values)


def _of_extra(extra: str | None) -> tuple[dict[str, Any], list[str]]:
    """Returns the versions of an extra's packages, None where there is none, and what is wrong with them."""
    from packaging.requirements import Requirement

    found, wrong = {}, []
    for text in importlib.metadata.requires("vr") or []:
        requirement = Requirement(text)
        if not _is_wanted(requirement, extra) or re.fullmatch("vr", requirement.name):
            continue
        name = requirement.name + (f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else "")
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            version = None
        if version is None:
            wrong.append(f"{name} is missing")
        elif not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{name} is {version}, and vr wants {requirement.specifier}")
        elif missing := _missing_parts(requirement.name, requirement.extras):
            version = None
            wrong.append(f"{name} is without {missing}")
        found[name] = version
    return found, wrong


def _is_wanted(requirement: Any, extra: str | None) -> bool:
    marker = requirement.marker
    if extra is None:
        return marker is None or marker.evaluate({"extra": ""})
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _missing_parts(name: str, parts: set[str]) -> str | None:
    """Returns a package that another one's extras ask for and that is not there."""
    from packaging.requirements import Requirement

    for text in importlib.metadata.requires(name) or [] if parts else []:
        requirement = Requirement(text)
        if any(_is_wanted(requirement, part) for part in parts):
            try:
                importlib.metadata.version(requirement.name)
            except importlib.metadata.PackageNotFoundError:
                return requirement.name
    return None
