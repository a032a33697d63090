"""Frames as PNG bytes and back. Deterministic: equal pixels give equal bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from farm.contract.errors import CorruptObject

if TYPE_CHECKING:
    from numpy.typing import NDArray

WITH_ALPHA = 4
"""Channels of a picture that can be seen through."""
PNG_TYPE, PNG_ALPHA_TYPES = 25, (b"\x04", b"\x06")
"""Where a PNG says which channels it has; grey with alpha, and colours with alpha."""
COMPRESSION = 3
"""zlib level: 6 makes painted frames 3 % smaller and takes three times as long."""


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """PNG of an image `(H, W, 3) uint8 sRGB`."""
    done, data = cv2.imencode(
        ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION]
    )
    assert done, "OpenCV encodes every uint8 image"
    return data.tobytes()


def png_read(data: bytes) -> NDArray[np.uint8]:
    """The image `(H, W, 3) uint8 sRGB` of any picture file's bytes; CorruptObject where they are none."""
    return np.asarray(cv2.cvtColor(_decoded(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def png_read_on_white(data: bytes) -> NDArray[np.uint8]:
    """The same, laid on white where it can be seen through: what lies there unseen may have any colour."""
    if not _has_alpha(data):
        return png_read(data)
    image = _decoded(data, cv2.IMREAD_UNCHANGED)
    if image.ndim < 3 or image.shape[2] != WITH_ALPHA:
        return png_read(data)
    shares = image.astype(np.float32) / np.iinfo(image.dtype).max
    seen = 1 + shares[..., 3:] * (shares[..., 2::-1] - 1)
    return np.rint(255 * seen).astype(np.uint8)


def _has_alpha(data: bytes) -> bool:
    """Whether a PNG's header says that it can be seen through, or it is a WebP, which may say so anywhere."""
    if data.startswith(b"\x89PNG"):
        header = data[: max(PNG_TYPE + 1, data.find(b"IDAT"))]
        return header[PNG_TYPE : PNG_TYPE + 1] in PNG_ALPHA_TYPES or b"tRNS" in header
    return data[8:12] == b"WEBP"


def _decoded(data: bytes, flags: int) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        raise CorruptObject(f"{len(data)} bytes are not a picture; the object was damaged")
    return np.asarray(image)
