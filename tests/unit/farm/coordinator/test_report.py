"""What the report says of the time that painting took."""

from __future__ import annotations

from pathlib import Path

from clips import make_clip

from farm import video
from farm.contract.messages import FrameRecord, Manifest, Stage
from farm.contract.params import Params
from farm.contract.spec import Media, Spec, Style
from farm.coordinator.report import build_report
from farm.plan import make_plan


def test_a_stage_says_how_busy_its_painters_were(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=8).path
    index = video.index(clip)
    media = Media("0" * 64, ".mp4", 1)
    spec = Spec("clip", media, (Style(media, "swirl"),), params=Params())
    plan = make_plan(8, (96, 64), (), 4, 0, index.sha256)
    film = video.FilmInfo(8, 96, 64, 1, ())
    manifests = [Manifest(spec.job, Stage.PLAN, 0, 1, "coordinator", "cpu", 0.0, 1.0)]
    for start, paint_s in ((0, 3.0), (4, 6.0)):
        records = tuple(FrameRecord(number, "") for number in range(start, start + 4))
        timings = {"paint": paint_s, "wait": 0.5, "flow": 2.0}  # flow is estimated beside the painting
        manifests.append(Manifest(spec.job, Stage.STYLIZE, start, 1, "worker", "cpu", 1.0, 7.0, records, timings))
    stages = build_report(spec, plan, index, film, manifests, {}, {})["stages"]
    assert stages["stylize"]["spans_s"] == {"flow": 4.0, "paint": 9.0, "wait": 1.0}
    assert (stages["stylize"]["task_s"], stages["stylize"]["painter_busy"]) == (12.0, 0.75)
    assert stages["plan"]["painter_busy"] is None
