"""Video in and out (PyAV): probe, check, index, decode a range exactly, encode with the source's time and sound."""

from farm.video.decoder import decode
from farm.video.encoder import EncodeResult, encode
from farm.video.geometry import Orientation, frame_size
from farm.video.profiles import codecs
from farm.video.timeline import FrameIndex, Sound, index

__all__ = [
    "EncodeResult",
    "FrameIndex",
    "Orientation",
    "Sound",
    "codecs",
    "decode",
    "encode",
    "frame_size",
    "index",
]
