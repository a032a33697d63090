"""Damaged clips are refused or read, never crash: every error is one of ours, in one line."""

from __future__ import annotations

import random

import pytest
from clips import make_clip

from farm import video
from farm.contract.errors import FarmError

_HOW = {
    "mp4": {"audio": "aac", "b_frames": 2},
    "mkv": {"audio": "libopus", "subtitles": [(0.1, 0.3, "x")]},
    "avi": {"codec": "mpeg4"},
    "ts": {"audio": "mp2"},
}


def _damaged(whole: bytes, rng: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(rng.choice([1, 3, 10, 60])):
        at = rng.randrange(min(1500, len(data)) if rng.random() < 0.4 else len(data))
        data[at] = rng.randrange(256)
    return bytes(data[: rng.randrange(1, len(data))] if rng.random() < 0.2 else data)


@pytest.mark.parametrize("suffix", list(_HOW))
def test_damaged_clips_end_in_frames_or_in_one_line(tmp_path, suffix):
    whole = make_clip(tmp_path / f"whole.{suffix}", frames=12, **_HOW[suffix]).path.read_bytes()
    rng = random.Random(7)
    path, refusals = tmp_path / f"damaged.{suffix}", []
    for _ in range(25):
        path.write_bytes(_damaged(whole, rng))
        try:
            video.check(path)
            index = video.index(path)
            half = index.frame_count // 2
            frames = list(video.decode(path, index, half, index.frame_count, (32, 32)))
            assert len(frames) == index.frame_count - half
        except FarmError as error:
            refusals.append(str(error))
    assert not [refusal for refusal in refusals if "\n" in refusal]


def test_metadata_that_is_no_utf8_is_read(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", frames=2, subtitles=[(0, 0.05, "x")])
    data = clip.path.read_bytes()
    clip.path.write_bytes(data.replace(b"DURATION", b"DUR\xff\xfeION"))
    assert video.index(clip.path).frame_count == 2
