"""Decoding in a child that crashes, hangs, takes too much or talks nonsense: one typed line, and no child left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from clips import make_clip, picture

from farm import sandbox, shots, video
from farm.contract.codec import to_plain
from farm.contract.errors import DecoderFailed, InvalidClip, InvalidStyle, JobPaused
from farm.sandbox import Request
from farm.settings import Settings


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("sandbox") / "clip.mp4", frames=30, cuts=(15,), audio="aac").path


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    before = set(psutil.Process().children())  # other tests' farms
    yield Settings(home=tmp_path, cache_dir=tmp_path)
    assert set(psutil.Process().children()) <= before


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A file that a reader waits on for ever."""
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path / "pipe.png"


def child() -> psutil.Process:
    """The decoder's process; other tests' farms may be children, too."""
    (found,) = decoders()
    return found


def decoders() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if is_decoder(one)]


def is_decoder(process: psutil.Process) -> bool:
    try:
        return "farm.sandboxed" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def test_the_index_and_the_cuts_are_those_found_without_a_child(clip: Path, settings: Settings) -> None:
    detector = shots.CutDetector()
    index = video.index(clip, detector.add)
    assert sandbox.index_clip(clip, settings) == sandbox.Looked(index, detector.cuts(), tuple(detector.motion))
    assert detector.cuts() == (15,)


def test_a_checked_clip_says_about_how_many_frames_it_has(clip: Path, settings: Settings) -> None:
    assert sandbox.check_clip(clip, settings) == 30


def test_the_frame_seen_at_a_time_is_found_in_a_child(clip: Path, settings: Settings) -> None:
    assert sandbox.frame_shown(clip, settings, 130) == video.frame_shown(clip, 130) == 120
    assert sandbox.frame_shown(clip, settings, None) == video.frame_shown(clip, None)
    with pytest.raises(InvalidClip, match="give another --at"):
        sandbox.frame_shown(clip, settings, 60_000)


def test_a_picture_comes_back_pixel_for_pixel(settings: Settings, tmp_path: Path) -> None:
    image = picture(3)
    cv2.imwrite(str(tmp_path / "a.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert np.array_equal(sandbox.read_picture(tmp_path / "a.png", settings), image)
    assert sandbox.check_picture(tmp_path / "a.png", settings) == (96, 64)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_what_can_be_seen_through_in_a_picture_is_white(
    kind: type[np.unsignedinteger], settings: Settings, tmp_path: Path
) -> None:
    """Its hidden pixels may have any colour, and nobody has seen it."""
    most = np.iinfo(kind).max
    bgra = np.full((8, 9, 4), (0, 0, most, 0), kind)
    bgra[2:] = (most, 0, 0, most)
    cv2.imwrite(str(tmp_path / "cut out.png"), bgra)
    pixels = sandbox.read_picture(tmp_path / "cut out.png", settings)
    assert (pixels[:2] == 255).all()
    assert (pixels[2:] == (0, 0, 255)).all()


def test_what_the_child_refuses_is_refused_in_its_words(clip: Path, settings: Settings, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[:-200])
    with pytest.raises(InvalidClip, match=r"cut\.mp4 is cut short") as caught:
        sandbox.check_clip(cut, settings)
    assert caught.value.path == str(cut)
    with pytest.raises(InvalidStyle, match=r"clip\.mp4: not a picture that can be read"):
        sandbox.check_picture(clip, settings)


def test_the_settings_limits_reach_the_child(clip: Path, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InvalidClip, match="has 30 frames, more than 29; cut it"):
        sandbox.check_clip(clip, replace(settings, max_frames=29))
    with pytest.raises(InvalidClip, match=r"is 96×64, more than 6000 pixels"):
        sandbox.check_clip(clip, replace(settings, max_pixels=6000))
    with pytest.raises(InvalidClip, match="is 1 s long, more than 0 s"):
        sandbox.index_clip(clip, replace(settings, max_duration_s=0.3))
    cv2.imwrite(str(tmp_path / "a.png"), picture(0))
    with pytest.raises(InvalidStyle, match=r"a\.png: more than 6000 pixels; export it smaller"):
        sandbox.check_picture(tmp_path / "a.png", replace(settings, max_pixels=6000))


def test_the_films_size_reaches_the_child(clip: Path, settings: Settings) -> None:
    small = replace(settings, max_pixels=96 * 64)
    assert sandbox.check_clip(clip, small) == sandbox.check_clip(clip, small, 96) == 30
    with pytest.raises(InvalidClip, match=r"would be painted at 128×86, .*; give --size 96 or less$"):
        sandbox.check_clip(clip, small, 128)


def test_a_decoder_that_crashes_is_one_line(tmp_path: Path, settings: Settings) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=1000).path  # long enough not to be done before it is looked for
    with pytest.raises(DecoderFailed, match=r"clip\.mp4: the decoder crashed on it \(SIGSEGV\); export it again"):
        sandbox.index_clip(clip, settings, on_wait=lambda: child().send_signal(signal.SIGSEGV))


def test_a_decoder_that_hangs_is_ended(pipe: Path, settings: Settings) -> None:
    with pytest.raises(DecoderFailed, match=r"hung on it, silent for \d+ s; .* raise FARM_DECODE_SILENT_S"):
        sandbox.check_picture(pipe, replace(settings, decode_silent_s=0.5))


def test_a_memory_bomb_is_ended(settings: Settings, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((8000, 8000), np.uint8))  # 200 kB in the file, 192 MB in memory
    with pytest.raises(DecoderFailed, match=r"needs more than 512 MB of memory; .* raise FARM_DECODE_MEMORY_MB"):
        sandbox.check_picture(tmp_path / "large.png", replace(settings, decode_memory_mb=512))


def test_what_stops_the_parent_stops_the_child(clip: Path, settings: Settings) -> None:
    def stop() -> None:
        raise JobPaused("paused")

    with pytest.raises(JobPaused):
        sandbox.index_clip(clip, settings, on_wait=stop)


def test_the_child_has_no_secrets(settings: Settings, pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its whole environment is looked at, while it hangs."""
    monkeypatch.setenv("FARM_S3_SECRET_KEY", "hush-hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    secret = replace(settings, s3_secret_key="hush-hush", redis_url="redis://:hush-hush@host")
    with ThreadPoolExecutor(1) as pool:
        checking = pool.submit(sandbox.check_picture, pipe, secret)
        until_s = time.monotonic() + 30
        while not decoders():
            assert time.monotonic() < until_s, "no child was started"
            time.sleep(0.02)
        environ = child().environ()
        child().kill()
        with pytest.raises(DecoderFailed):
            checking.result(30)
    assert environ["PYTHONPATH"]  # it was the child's, and whole
    assert "hush-hush" not in str(environ)
    assert set(environ) & {"FARM_S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "HOME"} == set()


def start(path: Path, function: str) -> subprocess.Popen[bytes]:
    request = Request(function, str(path), 10**6, 10, 1.0, 2**32, 60, 2**20)
    started = subprocess.Popen(
        [sys.executable, "-m", "farm.sandboxed"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert started.stdin is not None
    started.stdin.write(json.dumps(to_plain(request)).encode() + b"\n")
    started.stdin.flush()
    return started


def test_a_child_dies_with_its_parent(pipe: Path) -> None:
    """The end of its stdin is all that it sees of that."""
    orphan = start(pipe, "picture")
    assert orphan.stdout is not None
    assert orphan.stdout.read(1) == b"\n"  # it is at work
    began_s = time.monotonic()
    orphan.communicate(timeout=20)
    assert orphan.returncode == 1
    assert time.monotonic() - began_s < 10


def test_a_child_runs_nothing_but_its_list(pipe: Path) -> None:
    asked = start(pipe, "system")
    assert asked.stdout is not None
    answer = asked.stdout.read()  # with its stdin open: at its end it would end, too
    asked.communicate(timeout=20)
    assert json.loads(answer)["error"] == "KeyError"
