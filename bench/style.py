"""`python -m bench.style [OUTDIR]`: what `--style-weight`, `--style-scale` and `--color` do to a picture.

First frames of two clips in two styles; a strip for each knob, and a table in `bench/results/style.md`.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from bench.clips import Frame
from bench.sheets import Row, strip
from farm import styles
from farm.cli.demo import sample_clip
from farm.contract.params import Color, Params
from farm.contract.spec import WEIGHTS_SHA256
from farm.png import png_bytes
from farm.settings import Settings
from worker.device import choose_device, limit_threads

RESULTS = Path(__file__).parent / "results"
SIZE_PX, STEPS = 256, 100
SUBJECTS = (("bigbuckbunny.mp4", 20, "swirl"), ("bikes.mp4", 30, "ember"))
KNOBS: dict[str, tuple[Any, ...]] = {
    "style_weight": (0.25, 0.5, 1.0, 2.0, 4.0),
    "style_scale": (0.25, 0.5, 1.0, 2.0, 4.0),
    "color": tuple(Color),
}
HEAD = ("| clip | style | value | style loss | content loss | distance |", "|---|---|---|---|---|---|")


def main(folder: Path) -> None:
    """Paint, measure, write."""
    settings = Settings.load()
    limit_threads(settings.threads)  # before torch is imported
    device = choose_device(settings)
    lines = [
        "# Style", "",
        f"{time.strftime('%Y-%m-%d')}, {device.title}; first frames, longer side {SIZE_PX} px, {STEPS} steps a level.",
        "`python -m bench.style` writes this page. Losses are relative, unweighted; distance is the RMS difference",
        "from the source in sRGB [0, 1].", "",
    ]  # fmt: skip
    for knob, values in KNOBS.items():
        flag = "--" + knob.replace("_", "-")
        lines += [f"## {flag}", "", *HEAD]
        rows = []
        for clip, number, style in SUBJECTS:
            content = picture(clip, number)
            painted = [paint(content, style, replace(Params(steps=STEPS), **{knob: value}), device.torch_name)
                       for value in values]  # fmt: skip
            for value, (_, figures) in zip(values, painted, strict=True):
                lines.append(f"| {clip} | {style} | {value} | " + " | ".join(f"{each:.3f}" for each in figures) + " |")
                print(lines[-1], flush=True)
            rows.append(Row(style, [content, *(frame for frame, _ in painted)]))
        lines.append("")
        save(folder / f"{flag[2:]}.png", rows, ["source", *map(str, values)], flag)
    (RESULTS / "style.md").write_text("\n".join(lines[:-1]) + "\n")


def picture(clip: str, number: int) -> Frame:
    """One frame of a clip inside the wheel, its longer side `SIZE_PX`."""
    import cv2

    with av.open(str(sample_clip(clip))) as container:
        frame = next(islice(container.decode(video=0), number, None)).to_ndarray(format="rgb24")
    scale = SIZE_PX / max(frame.shape[:2])
    size_wh = (round(frame.shape[1] * scale / 2) * 2, round(frame.shape[0] * scale / 2) * 2)
    return np.asarray(cv2.resize(frame, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def paint(content: Frame, style: str, params: Params, device: str) -> tuple[Frame, tuple[float, float, float]]:
    """The painting, and its style loss, content loss and distance from the source."""
    from worker.engine import Painter, backbones, color_statistics

    network = backbones.load(params.backbone, WEIGHTS_SHA256[params.backbone], device)
    size_hw = (content.shape[0], content.shape[1])
    colors = color_statistics([content])
    painter = Painter(network, params, styles.paint(style, 768, 576), size_hw=size_hw, device=device, colors=colors)
    painted = painter.paint_still(content)
    shares = content_and_style(params)
    losses = (painted.losses["style"] / shares[1], painted.losses["content"] / shares[0])
    distance = float(np.sqrt(np.mean((painted.frame / 255.0 - content / 255.0) ** 2)))
    return painted.frame, (*losses, distance)


def content_and_style(params: Params) -> tuple[float, float]:
    """What the manifest's losses were multiplied with."""
    from worker.engine.losses import content_and_style_weights

    return content_and_style_weights(params)


def save(path: Path, rows: list[Row], captions: list[str], title: str) -> None:
    """The strip as PNG; rows of other shapes are cut to the first one's."""
    height, width = (min(row.images[0].shape[side] for row in rows) for side in (0, 1))
    cut = [replace(row, images=[image[:height, :width] for image in row.images]) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(strip(cut, captions, title=title)))
    print(path, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/style"))
