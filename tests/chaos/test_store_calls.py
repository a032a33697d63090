"""Single calls of the store through a proxy that spoils their first tries: what a caller sees of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chaos.proxy import Fault, FaultProxy

from farm.contract.errors import CorruptObject, StoreUnavailable
from farm.settings import Settings
from farm.store import MULTIPART_FROM_BYTES, S3Store

LOST = (Fault.ERROR_AFTER, Fault.DROP_AFTER)
WRITES = [fault for fault in Fault if fault not in (Fault.SHORT, Fault.TRUNCATED, Fault.SLOW)]


@pytest.fixture
def proxy(s3_settings: Settings) -> Iterator[FaultProxy]:
    one = FaultProxy(s3_settings.s3_endpoint)
    yield one
    one.close()


@pytest.fixture
def store(s3_settings: Settings, proxy: FaultProxy) -> S3Store:
    return S3Store.from_settings(replace(s3_settings, s3_endpoint=proxy.url))


@pytest.mark.parametrize("fault", LOST)
def test_a_probe_whose_first_answer_was_lost_still_finds_conditional_writes(
    store: S3Store, proxy: FaultProxy, fault: Fault
) -> None:
    with proxy.weather({fault: 1.0}, at_most=1) as counted:
        assert store.probe().conditional_writes
    assert counted.total() == 1
    assert list(store.list("")) == []


@pytest.mark.parametrize("fault", WRITES)
def test_an_object_put_once_is_there_and_whole(store: S3Store, proxy: FaultProxy, fault: Fault) -> None:
    assert store.features.conditional_writes
    with proxy.weather({fault: 1.0}, at_most=2) as counted:
        result = store.put_once("k", b"abc" * 1000)
    assert counted.total() == 2
    assert result.written == (fault not in LOST)
    assert store.get("k") == b"abc" * 1000
    assert not store.put_once("k", b"other").written


@pytest.mark.parametrize("fault", [Fault.SHORT, Fault.TRUNCATED])
def test_an_object_that_comes_short_is_read_again(store: S3Store, proxy: FaultProxy, fault: Fault) -> None:
    store.put("k", b"abc" * 1000)
    with proxy.weather({fault: 1.0}, at_most=2) as counted:
        assert store.get("k") == b"abc" * 1000
        assert list(store.list("")) == ["k"]
    assert counted.total() == 2


def test_an_object_that_always_comes_short_is_never_taken(store: S3Store, proxy: FaultProxy, tmp_path: Path) -> None:
    store.put("k", b"abc" * 1000)
    with proxy.weather({Fault.TRUNCATED: 1.0}):
        with pytest.raises(CorruptObject):
            store.get_file("k", tmp_path / "k")
        with pytest.raises(StoreUnavailable):
            list(store.list(""))
    assert list(tmp_path.glob("k*")) == []


@pytest.mark.chaos
@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("request_number", [1, 2, 5])
def test_a_film_sent_in_parts_survives_a_lost_answer(
    store: S3Store, proxy: FaultProxy, tmp_path: Path, once: bool, request_number: int
) -> None:
    """The first request begins the upload, the next ones are its three parts, the last one ends it."""
    film = tmp_path / "film"
    film.write_bytes(bytes(MULTIPART_FROM_BYTES + 1))
    assert store.features.conditional_writes
    proxy.skip = request_number - 1 + once  # `once` looks first
    with proxy.weather({Fault.DROP_AFTER: 1.0}, at_most=1) as counted:
        (store.put_file_once if once else store.put_file)("film", film)
    assert counted.total() == 1
    info = store.get_file("film", tmp_path / "copy")
    assert info.size_bytes == film.stat().st_size
