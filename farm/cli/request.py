"""What a submit asks for, as the command line has it: checked, before anything is started or written."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from farm.cli.flags import value_of
from farm.contract.errors import InvalidInput, InvalidParameter
from farm.contract.excerpt import Excerpt, excerpt_of
from farm.contract.messages import Priority
from farm.contract.params import Params
from farm.contract.spec import DEFAULT_CRF, MAX_CRF, Codec, Media, Output, Spec, Style
from farm.plan import CHUNK_CHOICES

Clip = Annotated[str, typer.Argument(metavar="CLIP", help="The film to paint, a file.", show_default=False)]
Styles = Annotated[
    list[str],
    typer.Option(
        "--style",
        "-s",
        metavar="FILE|NAME[:WEIGHT]",
        help="A picture, or a name that `farm styles` lists; given several times, they are mixed by weight.",
        show_default=False,
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        "--size", metavar="PX", help="The painted film's longer side. (default: the clip's)", show_default=False
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="Paint from here on: 83.5 or 1:23.5. (default: the beginning)",
        show_default=False,
    ),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", help="Paint up to here. (default: the clip's end)", show_default=False),
]
Chunk = Annotated[
    str, typer.Option("--chunk", metavar="N", help="Frames that one worker paints in a row; auto: by clip and workers.")
]
CodecName = Annotated[str, typer.Option("--codec", metavar="|".join(Codec), help="The film's codec.")]
Crf = Annotated[
    str,
    typer.Option("--crf", metavar=f"0…{MAX_CRF}", help="Quality of h264 and hevc alone, 0 (best) to 51."),
]
PriorityName = Annotated[
    str | None,
    typer.Option(
        "--priority", metavar="|".join(Priority), help="Whose tasks go first. (default: normal)", show_default=False
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Paint anew, also where the same was submitted before.")]
AsJson = Annotated[bool, typer.Option("--json", help="Data as JSON on stdout.")]

CHUNK, CODEC, CRF = "auto", str(Codec.H264), str(DEFAULT_CRF)


@dataclass(frozen=True, slots=True)
class Request:
    """A submit's arguments."""

    clip: str
    styles: tuple[tuple[str, float], ...]  # each a file or a name, and its weight
    size_px: int | None
    chunk_frames: int | None  # None: chosen at the submit
    params: Params
    output: Output
    again: bool = False
    from_s: str | None = None  # None: from the clip's beginning
    to_s: str | None = None  # None: to its end

    @property
    def excerpt(self) -> Excerpt | None:
        """What is to be painted of the clip, where that is not all of it; InvalidParameter where it can't be."""
        return excerpt_of(self.from_s, self.to_s)


def request_from(
    clip: str,
    styles: list[str],
    params: Params,
    *,
    size: str | None,
    chunk: str,
    codec: str,
    crf: str,
    again: bool,
    from_s: str | None = None,
    to_s: str | None = None,
) -> Request:
    """The request that command-line values make; InvalidParameter where one can't be used."""
    request = Request(
        clip, tuple(map(weighted, styles)), None if size is None else value_of(int, size),
        None if chunk == CHUNK else value_of(int, chunk), params,
        Output(value_of(Codec, codec), value_of(int, crf)), again, from_s, to_s,
    )  # fmt: skip
    blank = Media("0" * 64, "", 0)
    Spec(
        "",
        blank,
        (Style(blank, ""),),
        request.size_px,
        CHUNK_CHOICES[0] if request.chunk_frames is None else request.chunk_frames,
        request.params,
        request.output,
        excerpt=request.excerpt,
    )
    return request


def weighted(text: str) -> tuple[str, float]:
    """The style and the weight that `NAME`, `FILE`, `NAME:WEIGHT` or `FILE:WEIGHT` says; a file's own colons are its.

    InvalidParameter where the weight is none.
    """
    style, colon, weight = text.rpartition(":")
    if not colon or "/" in weight or Path(text).exists() or Path(weight).suffix[1:].isalpha():
        return text, 1.0
    number = value_of(float, weight)
    if not style or not isinstance(number, float) or not math.isfinite(number) or number <= 0:
        raise InvalidParameter(
            f"--style {text}: {weight!r} is no weight; give a number above 0, as in {style or 'swirl'}:2",
            name="style",
            value=weight,
        )
    return style, number


def check_files(request: Request) -> None:
    """Return if the clip is a file, and each style one or a name; InvalidClip or InvalidStyle if not. Costs little."""
    from farm.style_file import find_style
    from farm.video.source import local_file

    local_file(request.clip)
    for style, _ in request.styles:
        find_style(style)


def check(request: Request) -> None:
    """Return if clip and style can be used; InvalidClip or InvalidStyle if not. Needs no farm."""
    from farm import sandbox
    from farm.settings import Settings
    from farm.style_file import load_styles

    settings = Settings.load()
    load_styles(request.styles, settings)
    sandbox.check_clip(request.clip, settings, request.size_px, request.excerpt)


def check_target(target: str, suffix: str, clip: str | None = None) -> None:
    """Return if a film with `suffix` can be written to `target`; hours of painting must not end in a wrong path."""
    path = Path(target)
    if path.is_dir():
        _require_writable(path, target)
        return
    if path.suffix.lower() != suffix:
        better = path.with_suffix(suffix) if path.name else suffix
        raise InvalidInput(
            f"-o {target}: the film is a {suffix} file; give -o {better}, or another --codec", path=target
        )
    if clip is not None and path.exists() and Path(clip).exists() and path.samefile(clip):
        raise InvalidInput(f"-o {target} is the clip itself; give another file", path=target)
    _require_place(path, target)


def check_picture(target: str) -> None:
    """Return if a PNG can be written to `target`."""
    path = Path(target)
    if path.is_dir() or path.suffix.lower() != ".png":
        better = path / "preview.png" if path.is_dir() else path.with_suffix(".png")
        raise InvalidInput(f"-o {target}: the picture is a PNG file; give -o {better}", path=target)
    _require_place(path, target)


def check_folder(target: str) -> None:
    """Return if files can be written in the folder `target`."""
    path = Path(target)
    if path.exists() and not path.is_dir():
        raise InvalidInput(f"--frames {target} is a file; give a folder", path=target)
    _require_place(path, target)


def _require_place(path: Path, target: str) -> None:
    """The file can be written, or it and the folders above it that are missing can be made."""
    parent = next(folder for folder in (path.absolute().parent, *path.absolute().parents) if folder.exists())
    _require_writable(path if path.exists() else parent, target)


def _require_writable(path: Path, target: str) -> None:
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir() or not os.access(path, os.W_OK) or not os.access(folder, os.W_OK):
        raise InvalidInput(f"-o {target}: {path} can't be written; give another place", path=target)
