"""Writes constraints.txt: the exact versions of vr[dev]'s dependencies as installed beside this interpreter.

    .venv/bin/python scripts/lock.py

Run it after installing newer versions and seeing the tests pass. Only names and versions are written.
"""

import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# Exact versions that the tests passed with; `make` installs under them. Written by scripts/lock.py.
"""


def roots() -> list[Requirement]:
    """Returns what pyproject.toml asks for itself, its `dev` extra included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    names = [*project["dependencies"], *extras["dev"]]
    # The project's own extras are spelled as dependencies on itself: vr[datasets].
    for name in extras["dev"]:
        requirement = Requirement(name)
        if requirement.name == project["name"]:
            names.remove(name)
            names += [dependency for extra in requirement.extras for dependency in extras[extra]]
    return [Requirement(name) for name in names]


def closure(requirements: list[Requirement]) -> dict[str, str]:
    """Returns the version of every distribution that the requirements need on this machine."""
    versions: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    pending = [(requirement, extra) for requirement in requirements for extra in ["", *requirement.extras]]
    while pending:
        requirement, extra = pending.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found = distribution(requirement.name)
        versions[name] = found.version
        for text in found.requires or []:
            child = Requirement(text)
            if child.marker is None or child.marker.evaluate({"extra": extra}):
                pending += [(child, wanted) for wanted in ["", *child.extras]]
    return versions


def main() -> None:
    """Writes the file."""
    versions = closure(roots())
    lines = [f"{name}=={version}\n" for name, version in sorted(versions.items())]
    (ROOT / "constraints.txt").write_text(HEADER + "".join(lines))
    print(f"{len(lines)} versions in constraints.txt")


if __name__ == "__main__":
    main()
