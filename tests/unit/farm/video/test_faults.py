"""A machine that fails while it writes says nothing about the clip."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import av.error
import pytest
from clips import Clip, make_clip, pictures
from films import write_segments

from farm import video
from farm.contract.errors import FarmError, InvalidClip, MachineFault
from farm.contract.plan import FrameRange
from farm.contract.spec import Codec, Output
from farm.video import encoder, muxer

FULL = Path("/dev/full")
MACHINES = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EAGAIN]
Write = Callable[[], object]

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return make_clip(tmp_path / "clip.mp4", audio="aac")


def writers(folder: Path, clip: Clip, output: Output) -> tuple[Write, Write]:
    """What writes `film` as a segment, and as a film of two."""
    index, film = video.index(clip.path), folder / f"film{output.suffix}"
    files, late = write_segments(folder, pictures(24), index, output, (12,))
    whole = FrameRange(0, 24)

    def join() -> object:
        return video.join_segments(film, files, index=index, source=clip.path, output=output, reorder_frames=late)

    return lambda: video.encode_segment(film, pictures(24), index=index, segment=whole, output=output), join


@pytest.mark.parametrize("codec", list(Codec))
def test_a_full_disk_is_no_fault_of_the_clip(tmp_path: Path, clip: Clip, codec: Codec) -> None:
    output = Output(codec)
    for write in writers(tmp_path, clip, output):
        part = tmp_path / f"film{output.suffix}.part"
        part.symlink_to(FULL)
        with pytest.raises(
            MachineFault, match=rf"no room in {tmp_path} .*: \d+\.\d GB free; give .* FARM_CACHE_DIR"
        ) as caught:
            write()
        assert caught.value.facts == {"path": str(part), "errno": errno.ENOSPC}
        assert not list(tmp_path.glob("film*"))
        write()  # there is room again
        (tmp_path / f"film{output.suffix}").unlink()


def failing(code: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        av.error.err_check(-code, "file:/a/film.part")

    return fail


@pytest.mark.parametrize("code", [*MACHINES, errno.EINVAL, errno.ENOSYS])
@pytest.mark.parametrize("codec", list(Codec))
def test_whose_fault_it_is_follows_from_the_errors_number(
    tmp_path: Path, clip: Clip, monkeypatch: pytest.MonkeyPatch, codec: Codec, code: int
) -> None:
    both = writers(tmp_path, clip, Output(codec))
    monkeypatch.setattr(encoder, "_video_stream", failing(code))
    monkeypatch.setattr(muxer, "_video_stream", failing(code))
    for write in both:
        with pytest.raises(FarmError) as caught:
            write()
        assert type(caught.value) is (MachineFault if code in MACHINES else InvalidClip)
        assert os.strerror(code) in str(caught.value)
        assert ("/a/film.part: " in str(caught.value)) == (code == errno.EIO)
        if code not in MACHINES:
            assert str(caught.value).endswith("; try --codec h264" if codec is Codec.FFV1 else "; try --codec ffv1")


def test_a_packet_of_sound_that_finds_no_room_is_not_taken_for_a_broken_one(
    tmp_path: Path, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, join = writers(tmp_path, clip, Output())
    monkeypatch.setattr(muxer.Tracks, "until", lambda *_: iter((None,)))
    monkeypatch.setattr(muxer.Tracks, "rest", lambda *_: iter(()))
    film_file = muxer.film_file

    class Full:
        """A film that takes pictures, and no sound."""

        def __init__(self, film: Any) -> None:
            self.film = film

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.film.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.film, name)

        def mux(self, packet: Any) -> None:
            if packet is None:
                av.error.err_check(-errno.ENOSPC, "file:/a/film.part")
            self.film.mux(packet)

    monkeypatch.setattr(muxer, "film_file", lambda *how: Full(film_file(*how)))
    with pytest.raises(MachineFault, match="no room"):
        join()


def test_sound_is_not_left_out_for_lack_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = make_clip(tmp_path / "clip.mkv", audio="vorbis")
    _, join = writers(tmp_path, clip, Output())
    monkeypatch.setattr("farm.video.tracks._check_resampling", failing(errno.ENOMEM))
    with pytest.raises(MachineFault, match="no memory"):
        join()
