"""The data of the service's tests."""

from tests.server.conftest import data

__all__ = ["data"]
