"""The store: specs, plans, media, frames, manifests and films, in S3 or any server that speaks it.

Owns what makes the farm's objects trustworthy: they are written once (the first writer wins, a loser adopts what is
stored), and each carries the SHA-256 of its bytes, checked on every read. Refuses objects without it.
`S3Store` is the real one; `farm.testing.MemoryStore` passes the same tests.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from farm import s3
from farm.contract.errors import AccessDenied, CorruptObject, ObjectNotFound, StoreUnavailable
from farm.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

T = TypeVar("T")

OnBytes = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all while a file travels."""

SHA256 = "sha256"  # the metadata's name
BINARY = "application/octet-stream"
MULTIPART_FROM_BYTES = 2 * s3.PART_BYTES
READ_BYTES = s3.MIB
DELETE_BATCH = 1000  # of S3
PROBE_PREFIX = "probe/"


@dataclass(frozen=True, slots=True)
class PutResult:
    """What a write-once put found."""

    key: str
    sha256: str  # of the object now stored, be it ours or the first writer's
    written: bool  # False: another was first; adopt the stored object


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store knows of an object without reading it."""

    key: str
    size_bytes: int
    sha256: str  # empty where the farm did not write it
    modified_s: float = field(default=0.0, compare=False)  # Unix time by the server's clock; 0 where not asked for


@dataclass(frozen=True, slots=True)
class StoreFeatures:
    """What the server can do, found by trying."""

    conditional_writes: bool  # honours `If-None-Match: *`; where not, two writers may both believe they were first


class Store(Protocol):
    """What the farm asks of a store. Implementations: S3Store, `farm.testing.MemoryStore`. Thread-safe."""

    def put_once(self, key: str, data: bytes, content_type: str = BINARY) -> PutResult:
        """Write an object where there is none; `written` is False where another was first."""

    def put(self, key: str, data: bytes, content_type: str = BINARY) -> None:
        """Write an object over whatever is there. Only for outputs, which can be made again."""

    def get(self, key: str) -> bytes:
        """An object's bytes, checked; ObjectNotFound, CorruptObject."""

    def put_file_once(
        self, key: str, path: Path, sha256: str | None = None, on_progress: OnBytes | None = None
    ) -> PutResult:
        """Write a file where there is none, in parts where it is large. Sends nothing where it is there already."""

    def put_file(self, key: str, path: Path, on_progress: OnBytes | None = None) -> PutResult:
        """Write a file over whatever is there. Only for outputs. Also its hashing is heard of: nothing went yet."""

    def get_file(self, key: str, path: Path, on_progress: OnBytes | None = None) -> ObjectInfo:
        """Download to `path`: first beside it, checked, then renamed; so `path` is whole or not there."""

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object; None where there is none."""

    def list(self, prefix: str) -> Iterator[str]:
        """Every key that starts with `prefix`, in order."""

    def delete(self, keys: Iterable[str]) -> int:
        """Delete objects; those not there are no error. How many were asked for."""

    def probe(self) -> StoreFeatures:
        """Try what the server can do, with an object under `probe/` that is deleted again."""

    def ensure_bucket(self) -> None:
        """Make the bucket where it is missing."""

    def check(self) -> None:
        """Return if the bucket is there and takes our keys; StoreUnavailable or AccessDenied if not."""


def file_sha256(path: Path, on_block: Callable[[], object] = lambda: None) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits. `on_block()` is called at every mebibyte."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            on_block()
    return digest.hexdigest()


class S3Store:
    """A bucket on an S3 server."""

    def __init__(self, client: S3Client, bucket: str, where: str = "AWS") -> None:
        self._client = client
        self._bucket = bucket
        self._where = where  # the server, for people
        self._probing = threading.Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> S3Store:
        """The store these settings name. Sends nothing yet."""
        return cls(s3.make_client(settings), settings.s3_bucket, settings.s3_endpoint or "AWS")

    @cached_property
    def features(self) -> StoreFeatures:
        """What the server can do; tried once."""
        return self.probe()

    def put_once(self, key: str, data: bytes, content_type: str = BINARY) -> PutResult:
        """See Store."""
        sha256 = hashlib.sha256(data).hexdigest()
        return self._once(key, sha256, lambda condition: self._put(key, data, sha256, content_type, condition))

    def put(self, key: str, data: bytes, content_type: str = BINARY) -> None:
        """See Store."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._do(key, lambda: self._put(key, data, sha256, content_type, {}))

    def get(self, key: str) -> bytes:
        """See Store."""
        return s3.again(lambda: self._get(key))

    def put_file_once(
        self, key: str, path: Path, sha256: str | None = None, on_progress: OnBytes | None = None
    ) -> PutResult:
        """See Store."""
        size_bytes = path.stat().st_size
        sha256 = sha256 or file_sha256(path, _Progress(size_bytes, on_progress).beat)
        stored = self.head(key)
        if stored is not None:
            if (stored.size_bytes, stored.sha256) == (size_bytes, sha256) and on_progress:
                on_progress(size_bytes, size_bytes)
            return PutResult(key, stored.sha256, written=False)
        return self._once(key, sha256, lambda condition: self._put_file(key, path, sha256, condition, on_progress))

    def put_file(self, key: str, path: Path, on_progress: OnBytes | None = None) -> PutResult:
        """See Store."""
        sha256 = file_sha256(path, _Progress(path.stat().st_size, on_progress).beat)
        self._do(key, lambda: self._put_file(key, path, sha256, {}, on_progress))
        return PutResult(key, sha256, written=True)

    def get_file(self, key: str, path: Path, on_progress: OnBytes | None = None) -> ObjectInfo:
        """See Store."""
        # Its own name, as other processes may be fetching the same file.
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            info = s3.again(lambda: self._download(key, part, on_progress))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return info

    def head(self, key: str) -> ObjectInfo | None:
        """See Store."""
        try:
            answer = self._do(key, lambda: self._client.head_object(Bucket=self._bucket, Key=key))
        except ObjectNotFound:
            return None
        modified_s = answer["LastModified"].timestamp()
        return ObjectInfo(key, answer["ContentLength"], answer["Metadata"].get(SHA256, ""), modified_s)

    def list(self, prefix: str) -> Iterator[str]:
        """See Store."""
        where: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix}
        while True:
            page = self._do("", lambda: self._client.list_objects_v2(**where))
            yield from (item["Key"] for item in page.get("Contents", []))
            if not page.get("IsTruncated"):
                return
            where["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, keys: Iterable[str]) -> int:
        """See Store."""
        count = 0
        remaining = iter(keys)
        while batch := list(itertools.islice(remaining, DELETE_BATCH)):
            s3.again(lambda: self._delete(batch))
            count += len(batch)
        return count

    def probe(self) -> StoreFeatures:
        """See Store."""
        key = f"{PROBE_PREFIX}{uuid.uuid4().hex}"
        try:
            honoured = self._do(key, lambda: self._try_condition(key))
        finally:
            with suppress(StoreUnavailable):  # an object of five bytes is no reason to do without the store
                self.delete([key])
        if not honoured:
            log.warning(
                "the S3 server %s does not honour If-None-Match: frames are guarded by leases and HEAD alone",
                self._where,
            )
        return StoreFeatures(conditional_writes=honoured)

    def ensure_bucket(self) -> None:
        """See Store."""
        from botocore.exceptions import ClientError

        region = self._client.meta.region_name
        # AWS wants the region said, except where it is the first one.
        where: dict[str, Any] = {} if region == "us-east-1" else {"LocationConstraint": region}
        with self._errors():
            try:
                self._client.head_bucket(Bucket=self._bucket)
            except ClientError as error:
                if s3.error_code(error) not in s3.NOT_FOUND | {"NoSuchBucket"}:
                    raise
                options: dict[str, Any] = {"CreateBucketConfiguration": where} if where else {}
                self._create_bucket(options)

    def check(self) -> None:
        """See Store."""
        with self._errors():
            self._client.head_bucket(Bucket=self._bucket)

    def _create_bucket(self, options: dict[str, Any]) -> None:
        from botocore.exceptions import ClientError

        try:
            self._client.create_bucket(Bucket=self._bucket, **options)
        except ClientError as error:  # another process was first
            if s3.error_code(error) != "BucketAlreadyOwnedByYou":
                raise

    def _once(self, key: str, sha256: str, write: Callable[[dict[str, Any]], None]) -> PutResult:
        """`write` under the condition that the key is free; what is stored after it."""
        from botocore.exceptions import ClientError

        def attempt() -> PutResult:
            condition = self._condition()
            stored = None if condition else self.head(key)
            if stored is None:
                with self._errors(key):
                    try:
                        write(condition)
                        return PutResult(key, sha256, written=True)
                    except ClientError as error:
                        if s3.error_code(error) not in s3.PRECONDITION_FAILED | s3.CONFLICT:
                            raise
                stored = self.head(key)
            if stored is None:  # a 409 whose winner is not done yet, or a 412 whose winner was deleted since
                raise StoreUnavailable(f"{key!r} on {self._where} stays contested; try again", endpoint=self._where)
            return PutResult(key, stored.sha256, written=False)

        return s3.again(attempt)

    def _condition(self) -> dict[str, Any]:
        with self._probing:  # cached_property has no lock of its own
            return {"IfNoneMatch": "*"} if self.features.conditional_writes else {}

    def _try_condition(self, key: str) -> bool:
        from botocore.exceptions import ClientError

        for _ in range(2):
            try:
                self._put(key, b"probe", hashlib.sha256(b"probe").hexdigest(), BINARY, {"IfNoneMatch": "*"})
            except ClientError as error:
                code = s3.error_code(error)
                if code in s3.NOT_IMPLEMENTED:
                    return False
                # Also at the first: botocore sent it again, as the first answer was lost. The key is ours alone.
                if code in s3.PRECONDITION_FAILED:
                    return True
                raise
        return False

    def _delete(self, batch: Sequence[str]) -> None:
        with self._errors():
            answer = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
            )
        for refused in answer.get("Errors", []):
            key, code = refused.get("Key", ""), refused.get("Code", "")
            message = f"the S3 server {self._where} does not delete {key!r}: {code}"
            if s3.is_transient(code):
                raise StoreUnavailable(message, endpoint=self._where)
            raise AccessDenied(message, key=key)

    def _put(self, key: str, data: bytes, sha256: str, content_type: str, condition: dict[str, Any]) -> None:
        self._client.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=data,
            ContentType=content_type,
            # The server refuses a body that was changed on its way: an object written once can't be mended.
            ContentMD5=base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode(),
            Metadata={SHA256: sha256},
            **condition,
        )

    def _put_file(
        self, key: str, path: Path, sha256: str, condition: dict[str, Any], on_progress: OnBytes | None
    ) -> None:
        size_bytes = path.stat().st_size
        progress = _Progress(size_bytes, on_progress)
        if size_bytes < MULTIPART_FROM_BYTES:
            self._put(key, path.read_bytes(), sha256, BINARY, condition)
            progress.add(size_bytes)
            return
        s3.upload_parts(
            self._client, self._bucket, key, path,
            once=bool(condition), on_bytes=progress.add, ContentType=BINARY, Metadata={SHA256: sha256},
        )  # fmt: skip

    def _get(self, key: str) -> bytes:
        blocks: list[bytes] = []
        self._stream(key, blocks.append)
        return b"".join(blocks)

    def _download(self, key: str, path: Path, on_progress: OnBytes | None) -> ObjectInfo:
        with path.open("wb") as file:
            return self._stream(key, file.write, on_progress)

    def _stream(self, key: str, write: Callable[[bytes], object], on_progress: OnBytes | None = None) -> ObjectInfo:
        """Hand an object's bytes to `write` and check them."""
        digest = hashlib.sha256()
        with self._errors(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            info = ObjectInfo(key, answer["ContentLength"], answer["Metadata"].get(SHA256, ""))
            progress = _Progress(info.size_bytes, on_progress)
            with closing(answer["Body"]) as body:
                for block in body.iter_chunks(READ_BYTES):
                    digest.update(block)
                    write(block)
                    progress.add(len(block))
        check_sha256(key, info.sha256, digest.hexdigest())
        return info

    def _do(self, key: str, call: Callable[[], T]) -> T:
        """`call()`, its failures as the farm's; again where that may help."""

        def attempt() -> T:
            with self._errors(key):
                return call()

        return s3.again(attempt)

    def _errors(self, key: str = "") -> AbstractContextManager[None]:
        return s3.farm_errors(self._where, self._bucket, key)


class _Progress:
    """Adds up bytes for a callback that wants the sum."""

    def __init__(self, total_bytes: int, on_progress: OnBytes | None) -> None:
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._on_progress = on_progress

    def beat(self) -> None:
        """Nothing more went, but it goes on."""
        self.add(0)

    def add(self, count: int) -> None:
        """So many more bytes are done."""
        self._done_bytes += count
        if self._on_progress:
            self._on_progress(self._done_bytes, self._total_bytes)


def check_sha256(key: str, wanted: str, found: str) -> None:
    """CorruptObject where an object's bytes are not those it was written with."""
    if not wanted:
        raise CorruptObject(f"{key!r} carries no SHA-256: the farm did not write it; delete it", key=key)
    if wanted != found:
        raise CorruptObject(f"{key!r} has SHA-256 {found[:12]}…, was written with {wanted[:12]}…; delete it", key=key)
