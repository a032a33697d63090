"""Video in and out (PyAV): probe, check, index, decode a range exactly, encode with the source's time and sound."""

from farm.video.decoder import decode, frame_at
from farm.video.encoder import EncodeResult, encode
from farm.video.geometry import Orientation, frame_size
from farm.video.probe import TrackInfo, VideoInfo, check, probe
from farm.video.profiles import codecs
from farm.video.readback import read_back
from farm.video.source import Limits
from farm.video.timeline import FrameIndex, Sound, index

__all__ = [
    "EncodeResult",
    "FrameIndex",
    "Limits",
    "Orientation",
    "Sound",
    "TrackInfo",
    "VideoInfo",
    "check",
    "codecs",
    "decode",
    "encode",
    "frame_at",
    "frame_size",
    "index",
    "probe",
    "read_back",
]
