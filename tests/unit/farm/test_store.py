"""One suite for every store: S3Store on a real S3 server, and MemoryStore."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from farm import s3
from farm import store as store_module
from farm.contract.errors import AccessDenied, CorruptObject, ObjectNotFound, StoreUnavailable
from farm.settings import Settings
from farm.stack.process import free_ports
from farm.store import ObjectInfo, S3Store, Store, StoreFeatures, file_sha256
from farm.testing import MemoryStore

# SHA-256 of b"abc", from FIPS 180-4.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture(params=["s3", "memory"])
def store(request: pytest.FixtureRequest) -> Store:
    return request.getfixturevalue("s3_store") if request.param == "s3" else MemoryStore()


def test_the_first_put_is_written_and_the_second_adopts_it(store: Store) -> None:
    first = store.put_once("jobs/a/1", b"abc")
    second = store.put_once("jobs/a/1", b"other")
    assert (first.written, first.sha256) == (True, ABC)
    assert (second.written, second.sha256) == (False, ABC)
    assert store.get("jobs/a/1") == b"abc"


def test_of_eight_writers_at_once_one_wins_and_all_agree(store: Store) -> None:
    start = threading.Barrier(8)

    def write(number: int) -> tuple[bool, str]:
        start.wait(timeout=20)
        result = store.put_once("contested", bytes([number]) * 1000)
        return result.written, result.sha256

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(write, range(8)))
    assert sum(written for written, _ in results) == 1
    assert {sha256 for _, sha256 in results} == {hashlib.sha256(store.get("contested")).hexdigest()}


def test_put_overwrites(store: Store) -> None:
    store.put("output/report.json", b"old")
    store.put("output/report.json", b"abc", "application/json")
    assert store.get("output/report.json") == b"abc"


def test_an_empty_object_is_an_object(store: Store) -> None:
    assert store.put_once("empty", b"").written
    assert store.get("empty") == b""
    assert store.head("empty") == ObjectInfo("empty", 0, hashlib.sha256(b"").hexdigest())


def test_head_knows_size_and_hash(store: Store) -> None:
    store.put_once("k", b"abc")
    info = store.head("k")
    assert info == ObjectInfo("k", 3, ABC)
    assert abs(info.modified_s - time.time()) < 60
    assert store.head("absent") is None


def test_a_missing_object_is_not_found(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFound, match="'absent' is not in") as caught:
        store.get("absent")
    assert caught.value.key == "absent"
    with pytest.raises(ObjectNotFound):
        store.get_file("absent", tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_other_bytes_than_written_are_corrupt(store: Store, tmp_path: Path) -> None:
    harm(store, "k", b"abd", ABC)
    with pytest.raises(CorruptObject, match="'k' has SHA-256 a52d159f262b…, was written with ba7816bf8f01…"):
        store.get("k")
    with pytest.raises(CorruptObject):
        store.get_file("k", tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_an_object_without_its_hash_is_refused(store: Store) -> None:
    harm(store, "k", b"abc", "")
    with pytest.raises(CorruptObject, match="carries no SHA-256"):
        store.get("k")


def harm(store: Store, key: str, data: bytes, sha256: str) -> None:
    """Put bytes under a hash that may not be theirs."""
    if isinstance(store, MemoryStore):
        store.objects[key] = (data, sha256)
    else:
        metadata = {"sha256": sha256} if sha256 else {}
        store._client.put_object(Bucket=store._bucket, Key=key, Body=data, Metadata=metadata)


def test_list_gives_the_keys_of_a_prefix_in_order(store: Store) -> None:
    for key in ("jobs/a/2", "jobs/b/1", "jobs/a/1", "jobs/ab/1", "media/x"):
        store.put_once(key, b"")
    assert list(store.list("jobs/a/")) == ["jobs/a/1", "jobs/a/2"]
    assert list(store.list("jobs/a")) == ["jobs/a/1", "jobs/a/2", "jobs/ab/1"]
    assert list(store.list("none/")) == []


def test_list_and_delete_go_beyond_one_page(store: Store) -> None:
    keys = [f"many/{number:04}" for number in range(1003)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b"x"), keys))
    assert list(store.list("many/")) == keys
    assert store.delete(iter(keys)) == 1003
    assert list(store.list("many/")) == []


def test_deleting_what_is_not_there_is_no_error(store: Store) -> None:
    assert store.delete(["absent"]) == 1
    assert store.delete([]) == 0


@pytest.mark.parametrize("size_bytes", [0, 3, 11 * s3.MIB + 7])
def test_a_file_goes_there_and_back(
    store: Store, tmp_path: Path, size_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 5 MiB is the least S3 allows: 11 MiB + 7 go in three parts.
    monkeypatch.setattr(s3, "PART_BYTES", 5 * s3.MIB)
    monkeypatch.setattr(store_module, "MULTIPART_FROM_BYTES", 10 * s3.MIB)
    data = (b"a moving painting " * (size_bytes // 18 + 1))[:size_bytes]
    (tmp_path / "in").write_bytes(data)
    sent: list[tuple[int, int]] = []
    received: list[tuple[int, int]] = []
    result = store.put_file_once("media/x", tmp_path / "in", on_progress=lambda *step: sent.append(step))
    info = store.get_file("media/x", tmp_path / "out", on_progress=lambda *step: received.append(step))
    assert result.written
    assert (tmp_path / "out").read_bytes() == data
    assert info == ObjectInfo("media/x", size_bytes, hashlib.sha256(data).hexdigest()) == store.head("media/x")
    if size_bytes:
        assert sent[-1] == received[-1] == (size_bytes, size_bytes)
    assert sent == sorted(sent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_a_file_is_put_once(store: Store, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"abc")
    (tmp_path / "two").write_bytes(b"other")
    assert store.put_file_once("media/x", tmp_path / "one", ABC).written
    again = store.put_file_once("media/x", tmp_path / "one", ABC)
    other = store.put_file_once("media/x", tmp_path / "two")
    assert (again.written, again.sha256) == (other.written, other.sha256) == (False, ABC)
    assert store.get("media/x") == b"abc"


def test_put_file_overwrites(store: Store, tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(b"abc")
    store.put("output/film.mp4", b"old")
    assert store.put_file("output/film.mp4", tmp_path / "film").sha256 == ABC
    assert store.get("output/film.mp4") == b"abc"


def test_a_file_that_is_put_is_heard_of_while_it_is_hashed(store: Store, tmp_path: Path) -> None:
    size_bytes = 3 * store_module.READ_BYTES
    (tmp_path / "film").write_bytes(bytes(size_bytes))
    heard: list[tuple[int, int]] = []
    store.put_file("output/film.mp4", tmp_path / "film", on_progress=lambda *step: heard.append(step))
    assert heard[0] == (0, size_bytes)
    assert heard[-1] == (size_bytes, size_bytes)


def test_every_mebibyte_of_a_file_that_is_hashed_is_a_beat(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(b"abc")
    assert file_sha256(tmp_path / "film") == ABC
    data = bytes(2 * store_module.READ_BYTES + 1)
    (tmp_path / "film").write_bytes(data)
    beats: list[None] = []
    assert file_sha256(tmp_path / "film", lambda: beats.append(None)) == hashlib.sha256(data).hexdigest()
    assert len(beats) == 3


def test_get_file_replaces_what_lies_there_only_when_whole(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"before")
    harm(store, "bad", b"abd", ABC)
    with pytest.raises(CorruptObject):
        store.get_file("bad", target)
    assert target.read_bytes() == b"before"
    store.put_once("good", b"abc")
    store.get_file("good", target)
    assert target.read_bytes() == b"abc"


def test_keys_with_spaces_and_signs_come_back_as_they_are(store: Store) -> None:
    keys = sorted(["k/a b", "k/a+b", "k/é%20", "k/x&y=z"])
    for key in keys:
        store.put_once(key, key.encode())
    assert sorted(store.list("k/")) == keys
    assert [store.get(key) for key in keys] == [key.encode() for key in keys]


def test_the_probe_finds_conditional_writes_and_leaves_nothing(store: Store) -> None:
    assert store.probe() == StoreFeatures(conditional_writes=True)
    assert list(store.list("probe/")) == []


def test_ensure_bucket_makes_it_once(s3_settings: Settings) -> None:
    fresh = S3Store.from_settings(replace(s3_settings, s3_bucket="fresh"))
    with pytest.raises(StoreUnavailable, match=r"the bucket 'fresh' is not on http.*create it, or set FARM_S3_BUCKET"):
        fresh.check()
    fresh.ensure_bucket()
    fresh.ensure_bucket()
    fresh.check()
    assert fresh.put_once("k", b"abc").written


def without_conditions(settings: Settings) -> S3Store:
    """A server that knows no If-None-Match: the header is taken off on its way."""
    store = S3Store.from_settings(settings)

    def strip(params: dict[str, dict[str, str]], **_: object) -> None:
        params["headers"].pop("If-None-Match", None)

    store._client.meta.events.register("before-call.s3.PutObject", strip)
    return store


def test_without_conditional_writes_the_store_says_so_and_looks_first(
    s3_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    store = without_conditions(s3_settings)
    with caplog.at_level(logging.WARNING):
        assert store.put_once("k", b"abc").written
        assert not store.put_once("k", b"other").written
    assert store.get("k") == b"abc"
    assert store.features == StoreFeatures(conditional_writes=False)
    assert caplog.text.count("does not honour If-None-Match") == 1


def test_a_multipart_upload_that_lost_the_race_adopts_the_winner(
    s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 * s3.MIB)
    monkeypatch.setattr(store_module, "MULTIPART_FROM_BYTES", 5 * s3.MIB)
    (tmp_path / "big").write_bytes(bytes(6 * s3.MIB))

    def another_is_first(done_bytes: int, _total_bytes: int) -> None:
        if done_bytes == 6 * s3.MIB:  # all parts are up, the upload is not complete yet
            s3_store.put_once("media/x", b"abc")

    result = s3_store.put_file_once("media/x", tmp_path / "big", on_progress=another_is_first)
    assert (result.written, result.sha256) == (False, ABC)
    assert s3_store.get("media/x") == b"abc"
    assert not s3_store._client.list_multipart_uploads(Bucket=s3_store._bucket).get("Uploads")


def test_part_size_keeps_to_ten_thousand_parts() -> None:
    assert s3.part_bytes(1) == 16 * s3.MIB
    # 200 GiB / 10000 = 20.48 MiB
    assert s3.part_bytes(200 * 1024 * s3.MIB) == 21 * s3.MIB


def test_a_wrong_key_is_denied_in_one_line_without_the_secret(s3_settings: Settings) -> None:
    store = S3Store.from_settings(replace(s3_settings, s3_secret_key="not-the-secret"))
    for call in (store.check, lambda: store.get("k"), lambda: store.put("k", b""), lambda: list(store.list(""))):
        with pytest.raises(AccessDenied, match=r"refuses .*check FARM_S3_ACCESS_KEY") as caught:
            call()
        assert "not-the-secret" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_no_server_is_unavailable_in_bounded_time() -> None:
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    store = S3Store.from_settings(Settings(s3_endpoint=endpoint, s3_access_key="a", s3_secret_key="b"))
    began_s = time.monotonic()
    with pytest.raises(StoreUnavailable, match=f"the S3 server {endpoint} does not answer") as caught:
        store.check()
    assert caught.value.endpoint == endpoint
    assert time.monotonic() - began_s < 10


def test_a_server_on_this_machine_is_reached_past_any_proxy(
    s3_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    S3Store.from_settings(s3_settings).check()


class _Breaking(BaseHTTPRequestHandler):
    """Promises ten bytes; sends five of them the first `breaks` times."""

    breaks = 0
    asked = 0

    def do_GET(self) -> None:
        cls = type(self)
        cls.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.send_header("x-amz-meta-sha256", hashlib.sha256(b"0123456789").hexdigest())
        self.end_headers()
        self.wfile.write(b"01234" if cls.asked <= cls.breaks else b"0123456789")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def breaking_store() -> Iterator[S3Store]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Breaking)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    _Breaking.asked = 0
    endpoint = f"http://127.0.0.1:{server.server_port}"
    yield S3Store.from_settings(Settings(s3_endpoint=endpoint, s3_access_key="a", s3_secret_key="b"))
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def test_a_stream_that_breaks_off_is_read_again(breaking_store: S3Store) -> None:
    _Breaking.breaks = 2
    assert breaking_store.get("k") == b"0123456789"


def test_a_stream_that_always_breaks_off_is_unavailable(breaking_store: S3Store, tmp_path: Path) -> None:
    _Breaking.breaks = 99
    with pytest.raises(StoreUnavailable):
        breaking_store.get_file("k", tmp_path / "f")
    assert _Breaking.asked == s3.TRIES
    assert list(tmp_path.iterdir()) == []
