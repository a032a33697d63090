"""The S3 client of the farm: how it is made, what its failures mean, when a call is made again, uploads in parts.

boto3 is imported on first use, so that the command line answers quickly without it.
"""

from __future__ import annotations

import itertools
import logging
import math
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, cast
from urllib.parse import urlsplit

from farm.contract.errors import AccessDenied, CorruptObject, ObjectNotFound, StoreUnavailable
from farm.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

log = logging.getLogger(__name__)

T = TypeVar("T")

_Addressing = Literal["path", "virtual", "auto"]

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5, 30
ATTEMPTS = 4
CONNECTIONS = 32

TRIES = 4
TRY_PAUSE_S = 0.2
TRY_WITHIN_S = 60.0
"""No call is made again after this long: a task must be able to give way to a store that is away."""

MIB = 2**20
PART_BYTES = 16 * MIB
MAX_PARTS = 10_000  # of S3
PARTS_AT_ONCE = 4

NOT_FOUND = frozenset({"404", "NoSuchKey", "NotFound"})
PRECONDITION_FAILED = frozenset({"412", "PreconditionFailed"})
CONFLICT = frozenset({"409", "ConditionalRequestConflict", "OperationAborted"})
NOT_IMPLEMENTED = frozenset({"501", "NotImplemented"})
_TRANSIENT = frozenset(
    {"RequestTimeout", "SlowDown", "TooManyRequests", "Throttling", "InternalError", "ServiceUnavailable"}
    # The body was cut short or changed on its way.
    | {"BadDigest", "IncompleteBody", "InvalidDigest", "XAmzContentSHA256Mismatch"}
    # The answer to the last call of an upload was lost: it is done, or can be done again.
    | {"NoSuchUpload"}
    | CONFLICT
)


def make_client(settings: Settings) -> S3Client:
    """A thread-safe client with bounded waits and retries for the server these settings name."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    addressing = settings.s3_addressing
    if addressing == "auto" and settings.s3_endpoint:
        addressing = "path"  # few private servers have a wildcard DNS name
    config = Config(
        s3={"addressing_style": cast("_Addressing", addressing)},  # checked by Settings
        # Older S3-compatible servers refuse the checksums that boto3 adds by default; ours is in the metadata.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=CONNECTIONS,
        # A private farm's server is never behind the proxy that this machine's environment may name.
        proxies={} if _is_loopback(settings.s3_endpoint) else None,
    )
    try:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=settings.s3_endpoint or None,
            aws_access_key_id=settings.s3_access_key or None,
            aws_secret_access_key=settings.s3_secret_key or None,
            # Private servers take any region, but the signature needs one.
            region_name=settings.s3_region or ("us-east-1" if settings.s3_endpoint else None),
            config=config,
        )
    except (BotoCoreError, ValueError) as error:
        raise AccessDenied(f"no client for the S3 server: {error}; see FARM_S3_ENDPOINT and FARM_S3_REGION") from error


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


@contextmanager
def farm_errors(where: str, bucket: str, key: str = "") -> Iterator[None]:
    """Turns the failures of botocore into the farm's: one line with the server, the key and the cure."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        _raise_refused(error, where, bucket, key)
    except (BotoCoreError, ResponseParserError) as error:  # the latter: an answer cut short
        _raise_unreached(error, where)


def error_code(error: Exception) -> str:
    """S3's code of a ClientError, e.g. `PreconditionFailed`; a HEAD has no body, there it is the HTTP status."""
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def is_transient(code: str) -> bool:
    """Whether a request that was refused with this code may go through when it is sent again."""
    return code in _TRANSIENT


def _raise_refused(error: Exception, where: str, bucket: str, key: str) -> NoReturn:
    response: dict[str, Any] = getattr(error, "response", {})
    code = error_code(error)
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket" or (code in NOT_FOUND and not key):
        message = f"the bucket {bucket!r} is not on {where}; create it, or set FARM_S3_BUCKET"
        raise StoreUnavailable(message, endpoint=where) from error
    if code in NOT_FOUND:
        message = f"{key!r} is not in the bucket {bucket!r} on {where}; it was not written yet, or was deleted"
        raise ObjectNotFound(message, key=key) from error
    if is_transient(code) or status >= 500 or status in (0, 408, 429):
        message = f"the S3 server {where} answers {code or status} for {key or bucket!r}; see its log, try again"
        raise StoreUnavailable(message, endpoint=where) from error
    raise AccessDenied(f"the S3 server {where} refuses {key or bucket!r}: {_refusal(code, status)}", key=key) from error


def _refusal(code: str, status: int) -> str:
    if code == "RequestTimeTooSkewed":
        return f"{code}; set this machine's clock"
    if status in (301, 307, 400):
        return f"{code}; check FARM_S3_REGION and FARM_S3_ADDRESSING"
    return f"{code}; check FARM_S3_ACCESS_KEY and FARM_S3_SECRET_KEY, and what they may do"


def _raise_unreached(error: Exception, where: str) -> NoReturn:
    from botocore.exceptions import NoCredentialsError, PartialCredentialsError

    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        message = f"no keys for the S3 server {where}; set FARM_S3_ACCESS_KEY and FARM_S3_SECRET_KEY"
        raise AccessDenied(message) from error
    reason = type(error).__name__.removesuffix("Error")
    message = f"the S3 server {where} does not answer ({reason}); is it running? check FARM_S3_ENDPOINT"
    raise StoreUnavailable(message, endpoint=where) from error


def again(call: Callable[[], T]) -> T:
    """`call()`, anew after a pause that doubles where the store failed, or an object came with other bytes.

    botocore tries again only what it knows as passing, and never once the headers of an answer are there.
    """
    began_s = time.monotonic()
    for tried in range(TRIES - 1):
        try:
            return call()
        except (StoreUnavailable, CorruptObject) as error:
            if time.monotonic() - began_s > TRY_WITHIN_S:
                raise
            log.info("trying again: %s", error)
        time.sleep(TRY_PAUSE_S * 2.0**tried * random.uniform(0.5, 1.5))  # not all workers at once
    return call()


def upload_parts(
    client: S3Client,
    bucket: str,
    key: str,
    path: Path,
    *,
    once: bool,
    on_bytes: Callable[[int], None],
    **attributes: Any,
) -> None:
    """Upload a large file in parts, some at once; `once`: only where the key is free. Leaves no parts when it fails.

    `on_bytes` hears, from this thread only, the size of each part that arrived.
    """
    upload = client.create_multipart_upload(Bucket=bucket, Key=key, **attributes)["UploadId"]
    try:
        parts = _send_parts(client, {"Bucket": bucket, "Key": key, "UploadId": upload}, path, on_bytes)
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if once else {}
        client.complete_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **condition
        )
    except BaseException:
        with suppress(Exception):  # the first failure is the one to tell
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
        raise


def part_bytes(size_bytes: int) -> int:
    """Size of one part: 16 MiB, or more where a file would have over 10 000 of them."""
    return max(PART_BYTES, math.ceil(size_bytes / MAX_PARTS / MIB) * MIB)


def _send_parts(
    client: S3Client, target: dict[str, Any], path: Path, on_bytes: Callable[[int], None]
) -> list[CompletedPartTypeDef]:
    size_bytes = path.stat().st_size
    step = part_bytes(size_bytes)

    def send(number: int) -> tuple[CompletedPartTypeDef, int]:
        with path.open("rb") as file:
            file.seek((number - 1) * step)
            body = file.read(step)
        answer = client.upload_part(PartNumber=number, Body=body, **target)
        return {"PartNumber": number, "ETag": answer["ETag"]}, len(body)

    done: list[CompletedPartTypeDef] = []
    numbers = iter(range(1, math.ceil(size_bytes / step) + 1))
    with ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="upload") as pool:
        running: set[Future[tuple[CompletedPartTypeDef, int]]] = set()
        while True:
            # No more than a few in hand, so that a failure stops the upload soon and memory stays bounded.
            running |= {pool.submit(send, n) for n in itertools.islice(numbers, PARTS_AT_ONCE - len(running))}
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                part, sent_bytes = future.result()
                done.append(part)
                on_bytes(sent_bytes)
    return sorted(done, key=lambda part: part["PartNumber"])
