"""`make bench-picture`: paints real clips on a private farm, measures the picture, holds it against its bars.

Writes `bench/results/picture.md` with plots and strips beside it. The farm's folder is kept, so that a run that is
repeated or was interrupted paints only what is missing; `--quick` paints a little, to see that it works.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from farm.settings import Settings
from worker.device import limit_threads

limit_threads(Settings.load().threads)  # before torch is imported

from bench import exact  # noqa: E402
from bench.bars import worst_boundary  # noqa: E402
from bench.cases import (  # noqa: E402
    CHUNKS,
    STYLES,
    Case,
    Scope,
    excerpt_asks,
    farm_ask,
    fresh_ask,
    fresh_frames,
    sequential_ask,
    shot,
)
from bench.clips import REAL, BenchClip  # noqa: E402
from bench.command import run, say, without  # noqa: E402
from bench.findings import (  # noqa: E402
    DEFAULT_CHUNK,
    Excerpt,
    Findings,
    adopted,
    bars,
    cost,
    film_of,
    fresh_drift,
    seam_excess,
    seams_of,
    seconds_of,
    steps_of,
    untied_style,
)
from bench.jobs import (  # noqa: E402
    FARMS,
    Ask,
    Workshop,
    default_workers,
    frame_sums,
    interrupted,
    manifests_of,
    painted_before,
    plan_of,
    style_losses,
    workshop,
)
from bench.looks import boundary_strip  # noqa: E402
from bench.page import WHOLE, Picture, page  # noqa: E402
from bench.record import Record, Run, joined  # noqa: E402
from bench.record import read as read_record  # noqa: E402
from bench.record import write as write_record  # noqa: E402
from bench.sheets import save_jpeg  # noqa: E402
from bench.step import has_weights  # noqa: E402
from farm.client import Job  # noqa: E402
from farm.contract.errors import InvalidParameter  # noqa: E402
from farm.contract.messages import Stage  # noqa: E402
from farm.contract.params import Backbone  # noqa: E402
from farm.measure import measure_job  # noqa: E402
from farm.measure.chart import plot  # noqa: E402
from farm.measure.report import PictureReport  # noqa: E402

RESULTS = Path(__file__).parent / "results"
PARTS = ("seams", "drift", "excerpts", "bytes")
CLIPS = {clip.name: clip for clip in (*REAL, *exact.CLIPS)}
QUICK_SIZE_PX, QUICK_FRAMES, QUICK_EXCERPT, QUICK_CHUNK = 160, 36, 12, 6
STRIP_LIMIT_BYTES = 260_000


@dataclass
class Benchmark:
    """One run: what to paint, the farm, and what was found."""

    cases: list[Case]
    chunks: tuple[int, ...]
    scope: Scope
    parts: tuple[str, ...]
    farm: Workshop
    workers: int
    painting: bool = True  # else only what the farm has is measured
    found: Findings = field(default_factory=Findings)
    jobs: dict[Ask, Job] = field(default_factory=dict)
    reports: dict[str, PictureReport] = field(default_factory=dict)  # of the jobs in pieces

    @property
    def real(self) -> list[Case]:
        """Cases of real clips on the default backbone: those painted the slow way, too."""
        return [case for case in self.cases if case.shot.clip.file and case.backbone is Backbone.EFFICIENTNET_LITE0]

    def chunks_of(self, case: Case) -> tuple[int, ...]:
        """Chunk lengths that cut the shot; one at least."""
        return tuple(chunk for chunk in self.chunks if chunk < case.shot.frames) or self.chunks[:1]

    def asks(self) -> list[Ask]:
        """Every job of the run but those that are painted again, in order."""
        wanted: list[Ask] = []
        for case in self.cases if "seams" in self.parts or "drift" in self.parts else []:
            wanted.append(sequential_ask(case, self.scope))
            wanted += [farm_ask(case, chunk, self.scope) for chunk in self.chunks_of(case)]
        for case in self.real:
            wanted += [fresh_ask(case, self.scope)] if "drift" in self.parts else []
            wanted += excerpt_asks(case, self.scope).values() if "excerpts" in self.parts else []
        if "bytes" in self.parts:
            wanted += [excerpt_asks(case, self.scope)["ours"] for case in self.real[-1:]]
        return wanted

    def run(self) -> None:
        """Paint and measure. What is painted again by two workers is painted by one first."""
        if self.painting:
            if "bytes" in self.parts and self.real:
                self.farm.paint([excerpt_asks(self.real[-1], self.scope)["ours"]])
            self.farm.widen(self.workers)
            self.jobs = self.farm.paint(self.asks())
        else:
            self.jobs = {ask: job for ask in self.asks() if (job := self.farm.known(ask)) is not None}
        if "seams" in self.parts or "drift" in self.parts:
            self._measure_seams()
        if "drift" in self.parts:
            self._measure_fresh()
        if "excerpts" in self.parts:
            self._measure_excerpts()
        if "bytes" in self.parts and self.real and self.painting:
            self._compare_bytes(excerpt_asks(self.real[-1], self.scope)["ours"])

    def _measure_seams(self) -> None:
        for case in self.cases:
            if (whole := self.jobs.get(sequential_ask(case, self.scope))) is None:
                continue
            one_piece = self._measured(case, whole)
            self.found.sequential[f"{case.label}, one piece"] = film_of(one_piece)
            for chunk in self.chunks_of(case):
                job, label = self.jobs.get(farm_ask(case, chunk, self.scope)), chunk_label(case, chunk)
                if job is None:
                    continue
                say(f"measuring {label}")
                self.reports[label] = self._measured(case, job, whole)
                self.found.seams[label] = seams_of(chunk, self.reports[label], one_piece)
                if chunk == DEFAULT_CHUNK:
                    self._weigh(label, job, whole)

    def _weigh(self, label: str, job: Job, whole: Job) -> None:
        plan, pieces, one = plan_of(job), manifests_of(job), manifests_of(whole)
        timed, counted = cost(plan, pieces, one, seconds_of), cost(plan, pieces, one, steps_of)
        if len(plan.chunks) > len(plan.shots) and timed is not None and counted is not None:
            self.found.costs[label], self.found.step_costs[label] = timed, counted

    def _measured(self, case: Case, job: Job, against: Job | None = None) -> PictureReport:
        """By the exact motion where the clip has it."""
        clip = case.shot.clip
        if clip.file:
            return measure_job(job, against=against)
        known = exact.motions(clip, case.shot.frames, self.scope.size_px)
        return exact.measure_exactly(job, case.shot.path, known, against)

    def _measure_fresh(self) -> None:
        for case in self.real:
            if (job := self.jobs.get(fresh_ask(case, self.scope))) is None:
                continue
            fresh, numbers = measure_job(job), fresh_frames(case.shot.frames)
            labels = [chunk_label(case, chunk) for chunk in self.chunks_of(case)]
            for label in [label for label in labels if label in self.reports]:
                painted = self.reports[label].frames
                self.found.fresh[label] = fresh_drift(painted, fresh.frames, numbers, case.shot.frames)

    def _measure_excerpts(self) -> None:
        for case in self.real:
            jobs = {name: self.jobs.get(ask) for name, ask in excerpt_asks(case, self.scope).items()}
            ours, legacy, untied = jobs["ours"], jobs["legacy"], jobs["untied"]
            if ours is None or legacy is None:
                continue
            style, pairs = untied_style(style_losses(ours), style_losses(untied)) if untied else (None, 0)
            self.found.excerpts[case.label] = Excerpt(
                film_of(measure_job(ours)), film_of(measure_job(legacy)), style, pairs
            )

    def _compare_bytes(self, ask: Ask) -> None:
        """The same frames, whoever painted them and however often."""
        first, farm = frame_sums(self.jobs[ask]), self.farm
        self._hold("repeated", first, farm.again("repeated", ask))
        resumed = farm.again("resumed", ask, interrupted)
        if kept := adopted(manifests_of(resumed)):
            self._hold(f"resumed after {kept} stored frames", first, resumed)
        else:
            say("the job to resume was done before it could be canceled: not counted")
        if farm.code_changed:
            say("the painting code was edited meanwhile, a second worker would paint otherwise: not compared")
            return
        farm.widen(2)
        shared = farm.again("two workers", ask)
        if len({item.worker for item in manifests_of(shared) if item.stage is Stage.STYLIZE}) > 1:
            self._hold("two workers for one", first, shared)
        else:
            say("the second worker got no task of the shared job: not counted")

    def _hold(self, label: str, first: Sequence[str], job: Job) -> None:
        self.found.differing[label] = sum(one != other for one, other in zip(first, frame_sums(job), strict=True))


def chunk_label(case: Case, chunk: int) -> str:
    """`bunny, swirl, 48`: a case and its chunk length."""
    return f"{case.label}, {chunk}"


def strips(run: Benchmark, record: Record, folder: Path) -> dict[str, str]:
    """The strip of the worst boundary of every chunk length: titles, by the file's name.

    Where it is of an earlier run, whose films may be gone, that run's strip stays, if its film is still on the page.
    """
    found = dict(record.strips)
    for chunk in run.chunks:
        excess = {label: seam_excess(run.reports[label]) for label in run.reports if label.endswith(f", {chunk}")}
        name = f"worst_{chunk}.jpg"
        if (worst := worst_boundary(excess)) is None or (
            is_shown(record, found.get(name, "")) and worst_is_earlier(record, chunk)
        ):
            continue
        label, start = worst
        case = next(case for case in run.cases if chunk_label(case, chunk) == label)
        ours, whole = run.jobs[farm_ask(case, chunk, run.scope)], run.jobs[sequential_ask(case, run.scope)]
        found[name] = f"{case.label}, chunks of {chunk}: the worst boundary, s = {start}"
        picture = boundary_strip(ours, whole, case.shot.path, start, run.reports[label], found[name])
        save_jpeg(picture, folder / name, STRIP_LIMIT_BYTES)
    return found


def is_shown(record: Record, strip: str) -> bool:
    """Whether the film of a strip with that title is one that an earlier run has on the page."""
    labels = [label for run in record.runs[1:] for label in run.found.seams]
    return strip.partition(":")[0] in map(plot_title, labels)


def worst_is_earlier(record: Record, chunk: int) -> bool:
    """Whether the highest error of chunks of this length, over one piece's, is in a film of an earlier run."""
    excess = [
        (item.seam.error_excess_max, number)
        for number, run in enumerate(record.runs)
        for item in run.found.seams.values()
        if item.chunk_frames == chunk and item.seam and item.seam.error_excess_max is not None
    ]
    return bool(excess) and max(excess)[1] > 0


def plots(run: Benchmark, record: Record, folder: Path) -> list[Picture]:
    """E over time in the first style, for every clip and chunk length; plots stay of what an earlier run measured."""
    for label, report in run.reports.items():
        if f", {run.cases[0].style}, " in label:
            shrunk(plot(report, title=plot_title(label)), folder / plot_name(label))
        else:
            (folder / plot_name(label)).unlink(missing_ok=True)  # of a film that is no longer on the page
    labels = [label for measured in record.runs for label in measured.found.seams]
    shown = [label for label in labels if (folder / plot_name(label)).is_file()]
    return [Picture(f"{folder.name}/{plot_name(label)}", plot_title(label)) for label in shown]


def plot_name(label: str) -> str:
    """The file of a case's plot."""
    return f"{label.replace(', ', '_')}.png"


def plot_title(label: str) -> str:
    """`bunny, swirl, chunks of 48`."""
    case, _, chunk = label.rpartition(", ")
    return f"{case}, chunks of {chunk}"


def shrunk(png: bytes, path: Path) -> None:
    """Write a plot in 48 colours: a third of its size, and no eye sees it."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").quantize(48).save(path, optimize=True)


def write(run: Benchmark, results: Path, command: str) -> Path:
    """The page, its pictures, and the figures that a later run goes on from."""
    folder = results / "picture"
    folder.mkdir(parents=True, exist_ok=True)
    record = joined(read_record(folder), measured_by(run, command), scope_line(run.scope))
    record = replace(record, strips=strips(run, record, folder))
    worst = [Picture(f"{folder.name}/{name}", title) for name, title in record.strips.items()]
    target = results / "picture.md"
    target.write_text(page(record, worst, plots(run, record, folder)))
    write_record(record, folder)
    return target


def measured_by(run: Benchmark, command: str) -> Run:
    """What was found, and on what."""
    workers = [worker for job in run.jobs.values() for worker in job.report()["workers"].values()]
    cases = [case for case in run.cases if f"{case.label}, one piece" in run.found.sequential] or run.cases
    shots = {case.shot.clip.name: case.shot for case in cases}
    missing = sum(ask not in run.jobs for ask in run.asks())
    return Run(
        date=time.strftime("%Y-%m-%d"),
        device=" and ".join(sorted({worker["device"] for worker in workers})),
        versions=workers[0]["versions"] if workers else {},
        painter_code=run.farm.code,
        command=command,
        clips={name: f"{item.clip.title} ({item.frames} frames)" for name, item in shots.items()},
        styles=tuple(dict.fromkeys(case.style for case in cases)),
        found=run.found,
        notes=(f"The run was ended before {missing} of its jobs were painted: they are not in it.",) if missing else (),
    )


def scope_line(scope: Scope) -> str:
    """How much of everything is painted, on one line."""
    params = scope.params
    return (
        f"size {scope.size_px} px; {params.steps}, {params.steps_anchor} and {params.steps_next} steps for first "
        f"frames, anchors and frames that follow; excerpts of {scope.excerpt_frames} frames in chunks of "
        f"{scope.excerpt_chunk}; the default backbone, and vgg19 only where "
        "its weights are on this machine"
    )


def cases_of(arguments: argparse.Namespace, scope: Scope) -> list[Case]:
    """Every chosen clip in every chosen style; synthetic ones in the first only; vgg19 on a short shot where it can."""

    def made(clip: BenchClip, frames: int) -> Path:
        return exact.made(clip, frames, scope.size_px, scope.folder)

    shots = []
    for name in arguments.clips:
        clip = CLIPS[name]
        shots.append(shot(clip, scope, None if clip.file else made))
    found = [
        Case(item, style) for item in shots for style in (arguments.styles if item.clip.file else arguments.styles[:1])
    ]
    if has_weights(Backbone.VGG19) and not arguments.quick:
        short = shot(CLIPS[arguments.clips[0]], replace(scope, frames=scope.excerpt_frames))
        found.append(Case(short, arguments.styles[0], Backbone.VGG19))
    return found


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The command line; lists are separated by commas."""
    parser = argparse.ArgumentParser("python -m bench.picture", description="Measures the picture against its bars.")
    parser.add_argument("--quick", action="store_true", help="one clip, one style, few and small frames: two minutes")
    parser.add_argument("--clips", default=None, help=f"of {', '.join(CLIPS)}", type=_words, metavar="A,B")
    parser.add_argument("--styles", default=None, help="built-in styles", type=_words, metavar="A,B")
    parser.add_argument("--chunks", default=None, help="chunk lengths", type=_words, metavar="A,B")
    parser.add_argument("--parts", default=PARTS, help=f"of {', '.join(PARTS)}", type=_words, metavar="A,B")
    parser.add_argument("--size", type=int, default=None, metavar="PX", help="longer side of the painted films")
    parser.add_argument("--frames", type=int, default=None, metavar="N", help="at most, of a shot")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of one worker")
    parser.add_argument("--workers", type=int, default=None, metavar="N", help="by default one per thread of a CPU")
    parser.add_argument("--painted", action="store_true", help="only what the farm has: a page of an interrupted run")
    parser.add_argument("--farm", type=Path, default=None, metavar="FOLDER", help="of the farm, whatever painted it")
    parser.add_argument("--results", type=Path, default=None, metavar="FOLDER", help="where the page goes")
    found = parser.parse_args(words)
    found.clips = found.clips or (("bunny",) if found.quick else tuple(CLIPS))
    found.styles = found.styles or (STYLES[:1] if found.quick else STYLES)
    found.chunks = tuple(map(int, found.chunks or (CHUNKS[:1] if found.quick else CHUNKS)))
    found.results = found.results or (FARMS / "quick" if found.quick else RESULTS)
    for name, known in (("clips", CLIPS), ("parts", PARTS)):
        if unknown := [item for item in getattr(found, name) if item not in known]:
            parser.error(f"--{name} {unknown[0]} is unknown; choose from: {', '.join(known)}")
    return found


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def scope_of(arguments: argparse.Namespace) -> Scope:
    """How much is painted."""
    whole = Scope(FARMS / "clips")
    if arguments.quick:
        whole = replace(
            whole, size_px=QUICK_SIZE_PX, frames=QUICK_FRAMES, excerpt_frames=QUICK_EXCERPT, excerpt_chunk=QUICK_CHUNK
        )
    return replace(whole, size_px=arguments.size or whole.size_px, frames=arguments.frames or whole.frames)


def main(words: Sequence[str]) -> int:
    """Run the benchmark; 0 whether or not the bars are met, as the page says that."""
    arguments = parsed(words)
    scope = scope_of(arguments)
    workers = arguments.workers or default_workers(arguments.threads)
    if arguments.painted and not painted_before(arguments.farm):
        raise InvalidParameter(
            f"--painted: nothing was painted in {arguments.farm or FARMS} yet; run it without --painted"
        )
    first = 0 if arguments.painted else 1  # nobody paints where nothing is to be painted
    with workshop(arguments.threads, say, arguments.farm, first) as farm:
        benchmark = Benchmark(
            cases_of(arguments, scope), arguments.chunks, scope, tuple(arguments.parts), farm, workers,
            painting=not arguments.painted,
        )  # fmt: skip
        benchmark.run()
        chosen = without(("--farm", "--results"), words)  # where files lie is this machine's own
        command = " ".join(("python -m bench.picture", *chosen)) if chosen else WHOLE
        target = write(benchmark, arguments.results, command)
    for bar in bars(benchmark.found):
        met = {True: "met", False: "MISSED", None: "not measured"}[bar.met]
        say(f"{bar.number}  {bar.title}: {bar.figure} (asked {bar.asked}) {met}  {bar.case}")
    say(f"written: {os.path.relpath(target)}")
    return 0


if __name__ == "__main__":
    run(main)
