"""A part of a clip by its times: what is read, what is refused, and that jobs of whole clips keep their names."""

from __future__ import annotations

import pytest

from farm.contract.codec import from_json, from_plain, to_json, to_plain
from farm.contract.errors import InvalidInput, InvalidParameter
from farm.contract.excerpt import Excerpt, excerpt_of, time_text
from farm.contract.spec import Media, Spec, Style

STYLES = (Style(Media("b" * 64, ".png", 20), "swirl"),)
WHOLE = Spec("My Clip", Media("a" * 64, ".mp4", 10), STYLES)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0.5", 500), ("83.5", 83_500), ("1:23.5", 83_500), ("01:02:03.004", 3_723_004), ("7", 7000),
        ("90:00", 5_400_000), (" 2.0004 ", 2000), ("3.", 3000), (12.25, 12_250), (3, 3000),
    ],
)  # fmt: skip
def test_times_are_seconds_or_as_players_show_them(text: float | str, milliseconds: int) -> None:
    assert excerpt_of(text, None) == Excerpt(milliseconds)
    assert excerpt_of(None, text) == Excerpt(0, milliseconds)


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "1:2:3:4", "1,5", "1:-2", "nan", "inf", "0x10", "1e3", "9" * 40, True]
)
def test_what_is_no_time_is_refused_with_its_flag(text: str) -> None:
    for flag, times in (("--from", (text, None)), ("--to", (None, text))):
        with pytest.raises(InvalidParameter, match=rf"^{flag} .* is no time in a clip; give seconds, or .* 1:23\.5$"):
            excerpt_of(*times)


@pytest.mark.parametrize(
    ("begin", "end"), [("2", "2"), ("2", "01"), ("1:00", "59.9999"), (None, "0"), ("0.0001", "0.0004")]
)
def test_an_excerpt_that_ends_before_it_begins_is_refused(begin: str | None, end: str) -> None:
    with pytest.raises(InvalidParameter, match=r"^--to \d+:\d\d\S* is not after --from \d+:\d\d\S*; give a later one$"):
        excerpt_of(begin, end)


def test_all_of_a_clip_is_no_excerpt() -> None:
    assert excerpt_of(None, None) is excerpt_of("0", None) is excerpt_of(0.0, None) is None


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0:00"), (250, "0:00.25"), (61_000, "1:01"), (3_723_004, "1:02:03.004"), (36_000_500, "10:00:00.5")],
)
def test_times_are_said_as_short_as_they_can_be_and_read_again(milliseconds: int, text: str) -> None:
    assert time_text(milliseconds) == text
    assert excerpt_of(text, None) == (Excerpt(milliseconds) if milliseconds else None)


def test_an_excerpt_is_said_in_words() -> None:
    assert (str(Excerpt(83_500)), str(Excerpt(0, 1500))) == ("from 1:23.5", "0:00 to 0:01.5")


@pytest.mark.parametrize(
    ("excerpt", "share"),
    [(Excerpt(5000), 0.5), (Excerpt(0, 2500), 0.25), (Excerpt(9000, 99_000), 0.1), (Excerpt(20_000), 0.0)],
)
def test_the_share_of_a_clip_of_ten_seconds(excerpt: Excerpt, share: float) -> None:
    assert excerpt.share(10.0) == pytest.approx(share)


def test_jobs_of_whole_clips_have_the_names_they_had_before_there_were_excerpts() -> None:
    """Else every film that is in a store would be painted again."""
    assert WHOLE.job == "my-clip-1c95ecf753"
    assert "excerpt" not in to_plain(WHOLE)
    assert from_json(Spec, to_json(WHOLE)) == WHOLE


def test_an_excerpt_is_a_job_of_its_own_and_survives_its_json() -> None:
    parts = [
        Spec("My Clip", WHOLE.source, STYLES, excerpt=part)
        for part in (Excerpt(0, 1500), Excerpt(1500), Excerpt(0, 1501))
    ]
    assert len({WHOLE.job, *(part.job for part in parts)}) == 4
    assert [from_json(Spec, to_json(part)) for part in parts] == parts


def test_people_read_which_part_of_a_clip_a_job_paints() -> None:
    part = Spec("My Clip", WHOLE.source, STYLES, excerpt=Excerpt(0, 1500))
    assert (WHOLE.title, part.title) == ("My Clip", "My Clip, 0:00 to 0:01.5")
    assert part.job.startswith("my-clip-")


def test_an_excerpt_that_nobody_wrote_is_refused() -> None:
    plain = to_plain(Spec("My Clip", WHOLE.source, STYLES, excerpt=Excerpt(0, 1500)))
    for harm in ({"start_ms": 1500}, {"start_ms": -1}, {"stop_ms": 1.5}, {"stop_ms": 10**12}):
        with pytest.raises(InvalidInput):
            from_plain(Spec, {**plain, "excerpt": {**plain["excerpt"], **harm}})
