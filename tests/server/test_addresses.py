"""Which addresses a tenant may name: a table of those that look innocent and are not."""

import os

import pytest

from vr.server.addresses import ANYWHERE, Grant

METADATA = [
    "169.254.169.254",
    "2852039166",
    "0xA9FEA9FE",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "[fd00:ec2::254]",
]
FORBIDDEN = [
    "",
    "x" * 1025,
    "relative.parquet",
    "~/x.parquet",
    "{root}/../secret.parquet",
    "{root}/parts/../../secret.parquet",
    "{root}/%2e%2e/secret.parquet",
    "file://{root}/%2e%2e/secret.parquet",
    "file://{root}/..%2fsecret.parquet",
    "file://{root}/%252e%252e/secret.parquet",
    "{root}/reference.parquet\0.csv",
    "{root}/reference.parquet\n",
    "{root}\\reference.parquet",
    "{root}/link.parquet",
    "{root}x/reference.parquet",
    "{root}/absent.parquet",
    "{outside}/secret.parquet",
    "{outside}/*.parquet",
    "file://localhost{root}/reference.parquet",
    "file:{root}/reference.parquet",
    "/proc/self/environ",
    "/dev/stdin",
    "http://example.org/x.parquet",
    "https://example.org/x.parquet",
    "ftp://example.org/x.parquet",
    "gopher://x/y.parquet",
    "data:text/csv,a",
    "//server/share/x.parquet",
    "s3://other/data/x.parquet",
    "s3://mine/database/x.parquet",
    "s3://mine/data/../other/x.parquet",
    "s3://mine/data/%2e%2e/other/x.parquet",
    "s3://mine/data/x.parquet?endpoint_override=evil",
    "s3://mine/data/x.parquet?region=eu",
    "s3://key:secret@mine/data/x.parquet",
    "s3://anonymous@mine/data/x.parquet",
    "s3:mine/data/x.parquet",
    "S3A://mine/data/x.parquet",
    "gs://mine/data/x.parquet",
    *(f"http://{host}/latest/meta-data/" for host in METADATA),
    *(f"s3://{host}/data/x.parquet" for host in METADATA),
    "gs://metadata.google.internal/computeMetadata/v1/",
    "s3://localhost/x.parquet",
]


@pytest.fixture(scope="module")
def grant(data) -> Grant:
    return Grant.of([str(data)], ["s3://mine/data"])


@pytest.mark.parametrize("uri", FORBIDDEN)
def test_forbidden(uri, data, grant):
    assert not grant.admits(uri.format(root=data, outside=data.parent))


@pytest.mark.parametrize("uri", [each for each in FORBIDDEN if "169" in each or "0x" in each or "internal" in each])
def test_even_who_may_read_every_bucket_reaches_no_metadata(uri):
    assert not ANYWHERE.admits(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "{root}/reference.parquet",
        "{root}",
        "{root}/*.parquet",
        "{root}/parts/*.parquet",
        "file://{root}/reference.parquet",
        "s3://mine/data/x.parquet",
        "s3://mine/data",
        "s3://mine/data/",
        "s3://mine/data/*.parquet",
    ],
)
def test_admitted(uri, data, grant):
    assert grant.admits(uri.format(root=data))


def test_a_file_behind_a_folders_link_is_held_against_the_roots(data, grant):
    # The folder is admitted; its files are looked at one by one where they are known.
    assert grant.admits(str(data / "parts"))
    assert not grant.holds(str(data / "parts" / "part.parquet"))


def test_a_root_that_is_a_link_is_where_it_leads(tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    (real / "x.csv").write_text("a\n1\n")
    os.symlink(real, tmp_path / "link")
    assert Grant.of([str(tmp_path / "link")], ()).admits(str(real / "x.csv"))
