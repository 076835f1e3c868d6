"""Where the YAML groups are that Hydra composes."""

from pathlib import Path

__all__ = ["config_folder"]


def config_folder() -> Path:
    """Returns the folder of the YAML groups: `conf/` of a checkout, `vr/_conf/` of an installed wheel."""
    package = Path(__file__).resolve().parent
    installed = package / "_conf"
    return installed if installed.is_dir() else package.parent / "conf"
