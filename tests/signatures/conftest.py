"""Places of libraries: a SQLite file, and a PostgreSQL server of one's own."""

import os

import pytest

from tests.signatures.postgres import REQUIRED, binaries, running_server


@pytest.fixture(scope="module")
def postgres():
    if binaries() is None:
        if os.environ.get(REQUIRED):
            pytest.fail("PostgreSQL is not installed, and has to be (on Debian: apt install postgresql)")
        pytest.skip("needs PostgreSQL (on Debian: apt install postgresql)")
    with running_server() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def place(request, tmp_path):
    """A library's place with nothing in it: a file, or a server's database."""
    if request.param == "sqlite":
        yield str(tmp_path / "library.db")
        return
    url = request.getfixturevalue("postgres")
    yield url
    import sqlalchemy as sa

    from vr.signatures.database import _url

    engine = sa.create_engine(_url(url))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS vr_library, vr_signatures, vr_history")
    engine.dispose()
