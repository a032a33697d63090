"""Reading the film back: what an artist gets is held against what was meant, before the job says it succeeded."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from farm.contract.errors import FilmMismatch, InvalidClip
from farm.video.source import UNLIMITED
from farm.video.timeline import FrameIndex, index

_SOUND_SLACK_US = 100_000
"""Encoders pad sound to whole packets: AAC's are 23 ms, and it starts one or two early."""


def read_back(
    path: Path | str,
    source: FrameIndex,
    size_wh: tuple[int, int] | None = None,
    *,
    on_beat: Callable[[], None] = lambda: None,
) -> None:
    """Decode the film at `path` and hold it against its clip's index; FilmMismatch at the first difference.

    Compared: number of frames, every frame's time, size (where `size_wh` is given), start and end of each sound track.
    `on_beat()` is called at every packet.
    """
    try:
        film = index(path, limits=UNLIMITED, on_beat=on_beat)
    except InvalidClip as error:
        raise _mismatch(path, f"it can't be read: {error}") from error
    if film.frame_count != source.frame_count:
        raise _mismatch(path, f"it has {film.frame_count} frames, the clip {source.frame_count}")
    if size_wh is not None and (film.width, film.height) != size_wh:
        raise _mismatch(path, f"it is {film.width}×{film.height}, not {size_wh[0]}×{size_wh[1]}")
    _check_times(path, film, source)
    _check_sound(path, film, source)


def _check_times(path: Path | str, film: FrameIndex, source: FrameIndex) -> None:
    for number, (got, wanted) in enumerate(zip(film.pts, source.film_pts, strict=True)):
        got_s, wanted_s = got * film.seconds_per_tick, wanted * source.seconds_per_tick
        if got_s != wanted_s and not _is_rounded(got_s, wanted_s, film.seconds_per_tick):
            raise _mismatch(
                path, f"frame {number} is shown at {float(got_s):.6f} s, in the clip at {float(wanted_s):.6f} s"
            )


def _is_rounded(got_s: Fraction, wanted_s: Fraction, tick_s: Fraction) -> bool:
    """Whether a container that can't hold the clip's ticks holds the nearest of its own."""
    return (wanted_s / tick_s).denominator != 1 and abs(got_s - wanted_s) <= tick_s / 2


def _check_sound(path: Path | str, film: FrameIndex, source: FrameIndex) -> None:
    if len(film.sound) != len(source.sound):
        raise _mismatch(path, f"it has {len(film.sound)} sound tracks, the clip {len(source.sound)}")
    shift_us = round(source.origin * source.seconds_per_tick * 1_000_000)
    for number, (got, wanted) in enumerate(zip(film.sound, source.sound, strict=True)):
        for what, got_us, wanted_us in (
            ("starts", got.start_us, wanted.start_us),
            ("ends", got.stop_us, wanted.stop_us),
        ):
            if abs(got_us - (wanted_us - shift_us)) > _SOUND_SLACK_US:
                at_s, clip_s = got_us / 1e6, (wanted_us - shift_us) / 1e6
                raise _mismatch(path, f"sound track {number} {what} at {at_s:.3f} s, in the clip at {clip_s:.3f} s")


def _mismatch(path: Path | str, why: str) -> FilmMismatch:
    return FilmMismatch(f"{path} is not the film that was written: {why}; assemble the job again", path=str(path))
