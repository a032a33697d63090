"""`farm up` and `farm down`: the private farm on one machine, started part by part and ended for sure."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

from farm.contract.errors import InvalidParameter, StackError
from farm.settings import Settings
from farm.stack import parts as recipes
from farm.stack import process, state
from farm.stack.parts import FLOWER_USER, FlowerPart, Part, PythonPart, RedisPart, Site, StorePart
from farm.stack.process import PartRecord
from farm.stack.state import State

SERVICES = ("redis", "store")  # the others reach the farm through these
CLIENTS = ("coordinator", "worker", "flower")
PARTS = (*SERVICES, *CLIENTS)
START_ATTEMPTS = 3
POLL_S = 0.1
STRAY_S = 2.0  # a process left over gets this long to end
OWNER_LOCK = "owner.lock"
KEPT_HEALTH_S = 10.0  # a part found running gets this long to show that it works


@dataclass(frozen=True, slots=True)
class StackEvent:
    """A step of `up` or `down`, for people."""

    part: str  # a part's name
    step: str  # starting, ready, running (it was up already), ending, ended
    seconds: float = 0.0  # since `starting` or `ending`


@dataclass(frozen=True, slots=True)
class PartInfo:
    """A part that was started."""

    name: str
    pid: int
    running: bool
    log: Path
    ports: dict[str, int]


@dataclass(frozen=True, slots=True)
class StackInfo:
    """The private farm as it is."""

    home: Path
    parts: tuple[PartInfo, ...]
    settings: Settings
    flower_url: str = ""
    flower_user: str = ""
    flower_password: str = field(default="", repr=False)

    @property
    def running(self) -> bool:
        """Whether there are parts, and all of them run."""
        return bool(self.parts) and all(part.running for part in self.parts)


OnEvent = Callable[[StackEvent], None]


class Stack:
    """The private farm under one home. Its methods may be called from any process, also one that did not start it."""

    def __init__(self, home: Path, settings: Settings | None = None) -> None:
        self.home = home.absolute()
        self._base = replace(settings or Settings.load(), home=self.home)

    def up(
        self,
        workers: int | None = None,
        *,
        flower: bool = True,
        parts: Sequence[str] = PARTS,
        on_event: OnEvent | None = None,
    ) -> StackInfo:
        """Start what is missing and wait until all of it works; StackError names the part that does not."""
        wanted = self._wanted(workers, [name for name in parts if flower or name != "flower"])
        tell = on_event or _silent
        with state.locked(self.home):
            site = Site(self.home, State.load(self.home), self._base)
            self._clear_strays(site)
            kept = [name for name, record in site.state.parts.items() if record.process]
            try:
                for wave in (SERVICES, CLIENTS):
                    self._start_wave(site, [part for part in wanted if _kind(part.name) in wave], tell)
            except BaseException:  # also Ctrl-C
                self._undo(site.state, kept, tell)
                raise
            return self._info(site.state)

    def down(self, on_event: OnEvent | None = None) -> tuple[str, ...]:
        """End what `up` started, and nothing else; the names of the parts that still ran."""
        tell = on_event or _silent
        if not self.home.exists():
            return ()
        with state.locked(self.home), _deaf_to_signals():
            known = State.load(self.home)
            ended = tuple(name for name, record in known.parts.items() if record.process)
            clients = [name for name in known.parts if name not in SERVICES]
            self._end(known, clients, tell)
            self._end(known, [name for name in SERVICES if name in known.parts], tell)
            process.end(dict.fromkeys(process.marked(self.home), STRAY_S))
            state.forget(self.home)
            return ended

    def status(self) -> StackInfo:
        """The parts and whether they run."""
        return self._info(State.load(self.home))

    def _wanted(self, workers: int | None, names: Sequence[str]) -> list[Part]:
        if unknown := [name for name in names if name not in PARTS]:
            raise InvalidParameter(f"part {unknown[0]!r} is unknown; choose from: {', '.join(PARTS)}", name="parts")
        if workers is not None and not 0 <= workers <= 64:
            raise InvalidParameter(f"--workers {workers} is outside its range; give 0 to 64", name="workers")
        made: dict[str, list[Part]] = {
            "redis": [RedisPart()],
            "store": [StorePart()],
            "coordinator": [PythonPart("coordinator", "farm.coordinator")],
            "worker": list(recipes.worker_parts(self._base, workers)) if "worker" in names else [],
            "flower": [FlowerPart()],
        }
        return [part for name in PARTS if name in names for part in made[name]]

    def _clear_strays(self, site: Site) -> None:
        """End what a killed `farm up` or a killed part left: marked processes that belong to no part that runs."""
        owned = {record.pid for record in site.state.parts.values() if record.process}
        for record in site.state.parts.values():
            if running := record.process:
                owned |= {child.pid for child in running.children(recursive=True)}
        process.end({stray: STRAY_S for stray in process.marked(self.home) if stray.pid not in owned})

    def _start_wave(self, site: Site, wave: Sequence[Part], tell: OnEvent) -> None:
        """Start the wave's missing parts together, then wait for all."""
        began_s = time.monotonic()
        pending: list[Part] = []
        attempts: dict[str, int] = {}
        for part in wave:
            if self._works(site, part):
                tell(StackEvent(part.name, "running"))
                continue
            tell(StackEvent(part.name, "starting"))
            self._end(site.state, [part.name], _silent)
            self._launch(site, part)
            attempts[part.name] = 1
            pending.append(part)
        while pending:
            for part in [part for part in pending if self._ready(site, part, began_s, attempts)]:
                pending.remove(part)
                tell(StackEvent(part.name, "ready", time.monotonic() - began_s))
            time.sleep(POLL_S if pending else 0)

    def _undo(self, known: State, kept: Sequence[str], tell: OnEvent) -> None:
        """End what a failed `up` started: half a farm would look like a farm."""
        with _deaf_to_signals():
            started = [name for name in known.parts if name not in kept]
            self._end(known, [name for name in started if _kind(name) in CLIENTS], tell)
            self._end(known, [name for name in started if _kind(name) in SERVICES], tell)
            if kept:
                known.save(self.home)
            else:
                state.forget(self.home)

    def _works(self, site: Site, part: Part) -> bool:
        record = site.state.parts.get(part.name)
        if record is None or record.process is None:
            return False
        deadline = time.monotonic() + KEPT_HEALTH_S
        while record.process is not None and time.monotonic() < deadline:
            if part.healthy(site, record):
                return True
            time.sleep(POLL_S)
        return False

    def _launch(self, site: Site, part: Part, *, fresh_ports: bool = False) -> None:
        before = site.state.parts.get(part.name)
        ports = {} if before is None or fresh_ports else before.ports
        if set(ports) != set(part.ports) or not all(process.is_free(port) for port in ports.values()):
            ports = dict(zip(part.ports, process.free_ports(len(part.ports)), strict=True))
        connection = part.connection(site, ports)
        if before is not None and any(site.state.environ.get(name) != value for name, value in connection.items()):
            # The clients know the old address only.
            self._end(site.state, [name for name in site.state.parts if name not in SERVICES], _silent)
        command, environ = part.launch(site, ports)
        log = self.home / "logs" / f"{part.name}.log"
        site.state.environ.update(connection)
        site.state.parts[part.name] = process.start(command, environ, home=self.home, log=log, ports=ports)
        site.state.save(self.home)  # at once: whoever kills us now, `farm down` knows of it

    def _ready(self, site: Site, part: Part, began_s: float, attempts: dict[str, int]) -> bool:
        record = site.state.parts[part.name]
        if record.process is not None:
            if part.healthy(site, record):
                return True
            if time.monotonic() < began_s + part.start_s * attempts[part.name]:
                return False
        elif attempts[part.name] < START_ATTEMPTS and not all(process.is_free(port) for port in record.ports.values()):
            attempts[part.name] += 1
            self._launch(site, part, fresh_ports=True)  # another process took a port before ours could
            return False
        raise self._failure(part, record)

    def _failure(self, part: Part, record: PartRecord) -> StackError:
        what = f"is not ready after {part.start_s:.0f} s" if record.process else "ended as soon as it started"
        last = _last_line(Path(record.log))
        return StackError(
            f"{part.name} {what}: {last or 'it said nothing'}; see {record.log}", part=part.name, log=record.log
        )

    def _end(self, known: State, names: Sequence[str], tell: OnEvent) -> None:
        """End parts together; their records stay, so that a new start finds the ports."""
        running = {name: found for name in names if name in known.parts and (found := known.parts[name].process)}
        began_s = time.monotonic()
        for name in running:
            tell(StackEvent(name, "ending"))
        process.end({found: recipes.END_S[_kind(name)] for name, found in running.items()})
        process.await_free([port for name in running for port in known.parts[name].ports.values()])
        for name in names:
            if name == "store" and name in known.parts:
                for path in recipes.sockets_of(known.parts[name].ports):
                    path.unlink(missing_ok=True)
        for name in running:
            tell(StackEvent(name, "ended", time.monotonic() - began_s))

    def _info(self, known: State) -> StackInfo:
        parts = tuple(
            PartInfo(name, record.pid, record.process is not None, Path(record.log), record.ports)
            for name, record in known.parts.items()
        )
        settings = Settings.load({**self._base.environ(), **known.environ})
        has_flower = "flower" in known.parts
        return StackInfo(
            self.home, parts, settings, settings.flower_url,
            FLOWER_USER if has_flower else "", known.secrets.get("flower", "") if has_flower else "",
        )  # fmt: skip


@contextmanager
def private_stack(
    home: Path | None = None,
    *,
    settings: Settings | None = None,
    workers: int | None = None,
    flower: bool = False,
    parts: Sequence[str] = PARTS,
    on_event: OnEvent | None = None,
) -> Iterator[StackInfo]:
    """A private farm for the length of a `with`: up, and down again whatever happens. Without `home`, nothing stays."""
    base = settings or Settings.load()
    with ExitStack() as cleanup:
        where = home or cleanup.enter_context(_nest(base))
        stack = Stack(where, base)
        try:
            with _ended_by_signals():
                yield stack.up(workers, flower=flower, parts=parts, on_event=on_event)
        finally:
            with _deaf_to_signals():
                stack.down(on_event)


@contextmanager
def _nest(base: Settings) -> Iterator[Path]:
    """A new home for one private farm, in the cache; removed in the end. Clears those whose owner was killed."""
    nests = base.cache_dir / "private"
    with ExitStack() as held:
        with state.locked(nests):
            for old in nests.glob("farm-*"):
                _clear_nest(old, base)
            home = Path(tempfile.mkdtemp(prefix="farm-", dir=nests))
            held.enter_context(state.locked(home, OWNER_LOCK))
        try:
            yield home
        finally:
            shutil.rmtree(home, ignore_errors=True)


def _clear_nest(home: Path, base: Settings) -> None:
    with suppress(StackError), state.locked(home, OWNER_LOCK, wait_s=0):  # refused while its owner lives
        Stack(home, base).down()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the stack like Ctrl-C does, so that `finally` runs."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    with _handlers({signal.SIGTERM: leave, signal.SIGHUP: leave}):
        yield


@contextmanager
def _deaf_to_signals() -> Iterator[None]:
    """A second Ctrl-C must not stop the clean-up half-way; it is bounded in time."""
    with _handlers(dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), signal.SIG_IGN)):
        yield


@contextmanager
def _handlers(handlers: dict[signal.Signals, object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set them
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kind(name: str) -> str:
    return name.partition("-")[0]


def _last_line(log: Path) -> str:
    with suppress(OSError):
        lines = [line.strip() for line in log.read_text(errors="replace")[-4000:].splitlines() if line.strip()]
        return lines[-1][:300] if lines else ""
    return ""


def _silent(event: StackEvent) -> None:
    del event
