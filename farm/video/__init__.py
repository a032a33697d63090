"""Video in and out (PyAV): probe, check, index, decode a range exactly, encode with the source's time and sound."""

from farm.video.decode import decode
from farm.video.geometry import Orientation, frame_size
from farm.video.index import FrameIndex, Sound, index

__all__ = ["FrameIndex", "Orientation", "Sound", "decode", "frame_size", "index"]
