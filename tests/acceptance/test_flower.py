"""Flower behind its login, by plain HTTP and, where a Chromium is installed, in a real browser."""

from __future__ import annotations

import base64
import json
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from acceptance.conftest import QUICK
from clips import make_clip

from farm.client import Farm
from farm.stack import Stack, StackInfo

pytestmark = pytest.mark.timeout(150)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def answer(info: StackInfo, page: str, *, login: bool, method: str = "GET") -> tuple[int, bytes]:
    request = urllib.request.Request(info.flower_url + page, method=method)
    if login:
        pair = base64.b64encode(f"{info.flower_user}:{info.flower_password}".encode()).decode()
        request.add_header("Authorization", f"Basic {pair}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as page_answer:
            return page_answer.status, page_answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("page", ["", "workers", "tasks", "broker", "metrics", "api/workers", "api/tasks"])
def test_without_the_login_flower_shows_nothing(farm_stack: Stack, page: str) -> None:
    status, body = answer(farm_stack.status(), page, login=False)
    assert status == 401
    assert b"worker-" not in body
    assert b"farm." not in body


def test_with_the_login_flower_shows_the_workers_and_the_jobs_tasks(
    farm: Farm, farm_stack: Stack, tmp_path: Path
) -> None:
    info = farm_stack.status()
    # Flower listens to events from when it started; the job comes after.
    _paint(farm, tmp_path)
    deadline = time.monotonic() + 30
    names: set[str] = set()
    while not {"farm.plan", "farm.anchor", "farm.stylize", "farm.segment", "farm.assemble"} <= names:
        assert time.monotonic() < deadline, names
        tasks: dict[str, Any] = json.loads(answer(info, "api/tasks", login=True)[1])
        names = {task["name"] for task in tasks.values() if task["state"] == "SUCCESS"}
        time.sleep(0.2)
    workers = json.loads(answer(info, "workers?json=1", login=True)[1])["data"]
    assert {worker["hostname"].split("@")[0] for worker in workers} >= {"coordinator", "worker-0", "worker-1"}


COMMANDS = [
    "api/worker/shutdown/{worker}",
    "api/worker/pool/restart/{worker}",
    "api/worker/pool/grow/{worker}?n=1",
    "api/worker/pool/shrink/{worker}?n=1",
    "api/worker/pool/autoscale/{worker}?min=1&max=2",
    "api/worker/queue/add-consumer/{worker}?queue=media",
    "api/worker/queue/cancel-consumer/{worker}?queue=stylize",
    "api/task/apply/farm.sweep",
    "api/task/async-apply/farm.sweep",
    "api/task/send-task/farm.sweep",
    "api/task/abort/0",
    "api/task/timeout/farm.stylize?workername={worker}&soft=1",
    "api/task/rate-limit/farm.stylize?workername={worker}&ratelimit=1",
    "api/task/revoke/0?terminate=true",
]


def test_flower_takes_no_command_even_from_who_has_the_login(farm: Farm, farm_stack: Stack) -> None:
    info = farm_stack.status()
    before = {worker.name: worker.pid for worker in farm.workers()}
    assert len(before) == 2
    for page in COMMANDS:
        filled = page.format(worker=next(iter(before)))
        assert answer(info, filled, login=True, method="POST")[0] == 403, page
        assert answer(info, filled, login=False, method="POST")[0] in (401, 403), page
    assert {worker.name: worker.pid for worker in farm.workers()} == before


def test_every_command_of_this_flower_is_in_the_list() -> None:
    """Flower's own table of pages: each that takes a POST, but the rows of tasks and the page that is missing."""
    from flower.urls import handlers

    classes = {entry.regex.pattern if hasattr(entry, "regex") else entry[0]: entry for entry in handlers}
    takers = {
        path.strip("/$^").partition("(")[0]
        for path, entry in classes.items()
        if "post" in vars(getattr(entry, "handler_class", None) or entry[1])
    }
    assert takers - {"tasks/datatable", ".*"} == {
        page.partition("{")[0].partition("farm.")[0].partition("0")[0] for page in COMMANDS
    }


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; the same pages are tested by HTTP")
def test_in_a_browser_flower_shows_the_jobs_tasks(farm: Farm, farm_stack: Stack, tmp_path: Path) -> None:
    from playwright.sync_api import Error, sync_playwright

    info = farm_stack.status()
    _paint(farm, tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            stranger = browser.new_page()
            with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
                stranger.goto(info.flower_url)
            login = {"username": info.flower_user, "password": info.flower_password}
            page = browser.new_context(http_credentials=login).new_page()  # type: ignore[arg-type]
            page.goto(info.flower_url + "tasks")
            page.get_by_text("farm.stylize").first.wait_for(timeout=20_000)
            page.goto(info.flower_url)
            page.get_by_text("worker-0@").first.wait_for(timeout=20_000)
        finally:
            browser.close()


def _paint(farm: Farm, folder: Path) -> None:
    clip = make_clip(folder / "flower.mp4", frames=4)
    farm.submit(clip.path, "swirl", params=QUICK, size_px=64, chunk_frames=4, again=True).wait(timeout_s=60)
