"""`farm styles`: the styles the farm paints itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.cli.output import put_json, put_table
from farm.cli.request import AsJson
from farm.cli.terminal import say
from farm.contract.errors import InvalidInput

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
WIDTH_PX = 768
_ASPECT = 3 / 4


def styles(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One style. (default: all)", show_default=False)
    ] = None,
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write them as PNG: a folder, or a file for one style.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[int, typer.Option("--size", metavar="PX", help="Width of the pictures.")] = WIDTH_PX,
    as_json: AsJson = False,
) -> None:
    """List the built-in styles, or write them as PNG."""
    from farm import styles as gallery

    wanted = (name,) if name else gallery.names()
    found = [{"name": each, "description": gallery.describe(each)} for each in wanted]
    if output:
        for style, path in zip(found, _paths(output, wanted, single=name is not None), strict=True):
            style["path"] = _write(style["name"], path, size)
    if as_json:
        put_json({"styles": found})
        return
    if not output:
        put_table(("STYLE", ""), ((style["name"], style["description"]) for style in found))
        say("`farm styles -o DIR` writes them as PNG; `--style NAME` paints with one", "dim")


def _write(style: str, path: Path, width: int) -> str:
    from farm import styles as gallery

    data = gallery.png(style, width, round(width * _ASPECT))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    say(str(path))
    return str(path)


def _paths(output: str, names: tuple[str, ...], *, single: bool) -> list[Path]:
    path = Path(output)
    suffix = "" if path.is_dir() else path.suffix.lower()
    if single and suffix == ".png":
        return [path]
    if suffix in PICTURES:  # a folder of that name is not what was meant
        what = "a style is a PNG file" if single else "all styles go into a folder"
        better = f"{path.with_suffix('.png')}, or a folder" if single else str(path.with_suffix(""))
        raise InvalidInput(f"-o {output}: {what}; give -o {better}", path=output)
    return [path / f"{name}.png" for name in names]
