"""In-memory fakes for tests of programs that use the farm. They pass the same suites as the real ones."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from farm.contract.errors import ObjectNotFound
from farm.store import BINARY, ObjectInfo, OnBytes, PutResult, StoreFeatures, check_sha256


class MemoryStore:
    """A `farm.store.Store` in a dict. `objects` may be read and harmed by a test: key -> (bytes, SHA-256)."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self._lock = threading.Lock()

    def put_once(self, key: str, data: bytes, content_type: str = BINARY) -> PutResult:  # noqa: ARG002 - of the protocol
        """See Store."""
        return self._put_once(key, data, hashlib.sha256(data).hexdigest())

    def put(self, key: str, data: bytes, content_type: str = BINARY) -> None:  # noqa: ARG002 - of the protocol
        """See Store."""
        with self._lock:
            self.objects[key] = (data, hashlib.sha256(data).hexdigest())

    def get(self, key: str) -> bytes:
        """See Store."""
        with self._lock:
            if key not in self.objects:
                raise ObjectNotFound(f"{key!r} is not in memory; it was not written yet, or was deleted", key=key)
            data, sha256 = self.objects[key]
        check_sha256(key, sha256, hashlib.sha256(data).hexdigest())
        return data

    def put_file_once(
        self, key: str, path: Path, sha256: str | None = None, on_progress: OnBytes | None = None
    ) -> PutResult:
        """See Store."""
        data = path.read_bytes()
        result = self._put_once(key, data, sha256 or hashlib.sha256(data).hexdigest())
        if on_progress and result.sha256 == hashlib.sha256(data).hexdigest():
            on_progress(len(data), len(data))
        return result

    def put_file(self, key: str, path: Path, on_progress: OnBytes | None = None) -> PutResult:
        """See Store."""
        data = path.read_bytes()
        self.put(key, data)
        if on_progress:
            on_progress(len(data), len(data))
        return PutResult(key, hashlib.sha256(data).hexdigest(), written=True)

    def get_file(self, key: str, path: Path, on_progress: OnBytes | None = None) -> ObjectInfo:
        """See Store."""
        data = self.get(key)
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
        part.write_bytes(data)
        if on_progress:
            on_progress(len(data), len(data))
        part.replace(path)
        return ObjectInfo(key, len(data), hashlib.sha256(data).hexdigest())

    def head(self, key: str) -> ObjectInfo | None:
        """See Store."""
        with self._lock:
            if key not in self.objects:
                return None
            data, sha256 = self.objects[key]
        return ObjectInfo(key, len(data), sha256)

    def list(self, prefix: str) -> Iterator[str]:
        """See Store."""
        with self._lock:
            found = sorted(key for key in self.objects if key.startswith(prefix))
        yield from found

    def delete(self, keys: Iterable[str]) -> int:
        """See Store."""
        batch = tuple(keys)
        with self._lock:
            for key in batch:
                self.objects.pop(key, None)
        return len(batch)

    def probe(self) -> StoreFeatures:
        """See Store."""
        return StoreFeatures(conditional_writes=True)

    def ensure_bucket(self) -> None:
        """See Store."""

    def check(self) -> None:
        """See Store."""

    def _put_once(self, key: str, data: bytes, sha256: str) -> PutResult:
        with self._lock:
            stored = self.objects.setdefault(key, (data, sha256))
        return PutResult(key, stored[1], written=stored[0] is data)
