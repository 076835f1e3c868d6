"""Versions of what is installed."""

import importlib.metadata

from vr.core.installed import version_of


def test_a_version_is_looked_up_once(monkeypatch):
    assert version_of("numpy") == importlib.metadata.version("numpy")
    monkeypatch.setattr(importlib.metadata, "version", None)
    assert version_of("numpy") is not None


def test_what_is_not_installed_has_none():
    assert version_of("no-such-package") is None
