"""Video in and out (PyAV): probe, check, index, decode a range exactly; encode segments, and join them to a film with
the source's time and sound.
"""

from farm.video.decoder import decode, frame_at
from farm.video.encoder import encode_segment
from farm.video.geometry import Orientation, frame_size, painted_size
from farm.video.moment import frame_shown
from farm.video.muxer import FilmInfo, join_segments
from farm.video.probe import TrackInfo, VideoInfo, check, probe
from farm.video.profiles import codecs
from farm.video.readback import check_segment, read_back
from farm.video.reel import Reel
from farm.video.source import Limits
from farm.video.timeline import FrameIndex, Sound, index

__all__ = [
    "FilmInfo",
    "FrameIndex",
    "Limits",
    "Orientation",
    "Reel",
    "Sound",
    "TrackInfo",
    "VideoInfo",
    "check",
    "check_segment",
    "codecs",
    "decode",
    "encode_segment",
    "frame_at",
    "frame_shown",
    "frame_size",
    "index",
    "join_segments",
    "painted_size",
    "probe",
    "read_back",
]
