"""A small proxy between boto3 and a real S3 server that spoils a seeded share of the requests.

It forwards each request byte for byte (the signature covers the host the client used, so it still holds), unless the
weather says otherwise, and keeps a diary of what was written. Faults come before the server heard of a request, or
after it did what was asked: then the client is told of a failure that was none.
"""

from __future__ import annotations

import http.client
import math
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_HOP_BY_HOP = frozenset({"connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
SLOW_S = (0.2, 1.5)


class Fault(StrEnum):
    """What goes wrong with one request."""

    ERROR = "500"  # the server does not hear of it
    ERROR_AFTER = "500 after the deed"  # it was done, and is said to have failed
    DROP = "dropped connection"
    DROP_AFTER = "dropped connection after the deed"
    SLOW = "slow answer"
    SHORT = "answer broken off"  # fewer bytes than its length says
    TRUNCATED = "truncated object"  # fewer bytes, and a length that agrees with them
    CUT_UPLOAD = "truncated upload"
    CONFLICT = "409"
    PRECONDITION = "412"  # although the key is free
    FULL = "507"  # the disk is full
    UNAVAILABLE = "503"


_CODES = {
    Fault.ERROR: (500, "InternalError"),
    Fault.ERROR_AFTER: (500, "InternalError"),
    Fault.CONFLICT: (409, "ConditionalRequestConflict"),
    Fault.PRECONDITION: (412, "PreconditionFailed"),
    Fault.FULL: (507, "InsufficientStorage"),
    Fault.UNAVAILABLE: (503, "ServiceUnavailable"),
}
_AFTER = frozenset({Fault.ERROR_AFTER, Fault.DROP_AFTER, Fault.SHORT, Fault.TRUNCATED})


@dataclass(frozen=True, slots=True)
class Put:
    """An object that the server stored, or refused as there was one."""

    key: str
    invocation: str  # botocore's, the same for all of its tries at one call
    stored: bool
    at_s: float  # time.monotonic()


@dataclass(frozen=True, slots=True)
class Request:
    """What the weather looks at."""

    method: str
    key: str  # without the bucket; empty for the bucket itself
    headers: Mapping[str, str]
    size_bytes: int

    def suffers(self, fault: Fault) -> bool:
        """Whether that fault can befall this request."""
        if fault in (Fault.CONFLICT, Fault.PRECONDITION):
            return self.method == "PUT" and "if-none-match" in self.headers
        if fault is Fault.CUT_UPLOAD:
            return self.method == "PUT" and self.size_bytes > 1
        if fault is Fault.FULL:
            return self.method in ("PUT", "POST") and bool(self.key)
        if fault in (Fault.SHORT, Fault.TRUNCATED):
            return self.method == "GET"
        return True


class FaultProxy:
    """A proxy on a loopback port of its own, with fine weather at first."""

    def __init__(self, upstream: str, seed: int = 0) -> None:
        parts = urlsplit(upstream)
        self.upstream = (str(parts.hostname), int(parts.port or 80))
        self.injected: Counter[Fault] = Counter()
        self.diary: list[Put] = []
        self.on_stored: Callable[[str], object] = lambda _key: None  # runs before the client hears of it
        self._shares: dict[Fault, float] = {}
        self._random = random.Random(seed)
        self._left = math.inf
        self._spared: Counter[Fault] = Counter()  # in a row, of the requests that could have suffered it
        self.skip = 0  # so many requests more are spared
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="proxy", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The endpoint to give to clients."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def weather(
        self, shares: Mapping[Fault, float], seed: int = 0, at_most: float = math.inf
    ) -> Iterator[Counter[Fault]]:
        """Spoil these shares of the requests for the length of a `with`, or `at_most` of them; counts them.

        A fault of share p befalls at the latest the request after 1/p that were spared it: none waits in vain for
        its luck, however few requests a job makes.
        """
        with self._lock:
            self._random, self._shares, before = random.Random(seed), dict(shares), Counter(self.injected)
            self._left = at_most
            self._spared.clear()
        counted: Counter[Fault] = Counter()
        try:
            yield counted
        finally:
            with self._lock:
                self._shares = {}
                counted.update(self.injected - before)

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def draw(self, request: Request) -> Fault | None:
        """The fault that befalls this request, if any."""
        with self._lock:
            if self.skip:
                self.skip -= 1
                return None
            for fault, share in self._shares.items():
                if self._left <= 0 or not request.suffers(fault):
                    continue
                if self._random.random() < share or self._spared[fault] * share >= 1:
                    self.injected[fault] += 1
                    self._spared[fault] = 0
                    self._left -= 1
                    return fault
                self._spared[fault] += 1
        return None

    def fraction(self) -> float:
        """A seeded number in [0, 1)."""
        with self._lock:
            return self._random.random()

    def note(self, request: Request, status: int) -> None:
        """Write into the diary what came of an upload."""
        if request.method != "PUT" or status not in (200, 412):
            return
        invocation = request.headers.get("amz-sdk-invocation-id", "")
        with self._lock:
            self.diary.append(Put(request.key, invocation, status == 200, time.monotonic()))
        if status == 200:
            self.on_stored(request.key)

    def puts(self, prefix: str) -> list[Put]:
        """The diary's uploads below a prefix, in order."""
        with self._lock:
            return [put for put in self.diary if put.key.startswith(prefix)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    proxy: FaultProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Killed clients leave broken connections: nothing to say."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]
        request = Request(self.command, key, headers, len(body))
        proxy = self.server.proxy
        fault = proxy.draw(request)
        if fault is Fault.SLOW:
            time.sleep(SLOW_S[0] + (SLOW_S[1] - SLOW_S[0]) * proxy.fraction())
        if fault in (Fault.DROP, *_CODES) and fault not in _AFTER:
            self._fail(fault)
            return
        if fault is Fault.CUT_UPLOAD:
            body = body[: len(body) // 2]
        try:
            status, answer_headers, answer = self._forward(body)
        except (OSError, http.client.HTTPException):  # the server itself is away
            self._hang_up()
            return
        proxy.note(request, status)
        if fault in (Fault.ERROR_AFTER, Fault.DROP_AFTER):
            self._fail(fault)
        else:
            self._answer(status, answer_headers, answer, fault)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self.server.proxy.upstream, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP and name.lower() != "content-length":
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: Fault | None) -> None:
        spoilt = fault in (Fault.SHORT, Fault.TRUNCATED)
        sent = body[: len(body) // 2] if spoilt else body
        length = len(sent) if fault is Fault.TRUNCATED else len(body)
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP and name.lower() != "content-length":
                self.send_header(name, value)
        is_head = self.command == "HEAD"
        known = next((value for name, value in headers if name.lower() == "content-length"), "0")
        self.send_header("Content-Length", known if is_head else str(length))
        self.end_headers()
        if not is_head:
            self.wfile.write(sent)
        if fault is Fault.SHORT:
            self.wfile.flush()
            self._hang_up()

    def _fail(self, fault: Fault) -> None:
        if fault in (Fault.DROP, Fault.DROP_AFTER):
            self._hang_up()
            return
        status, code = _CODES[fault]
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>spoilt</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _hang_up(self) -> None:
        """Close at once, with a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """See http.server: says nothing."""
