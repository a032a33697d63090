"""The picture's benchmark as a command, where nothing needs painting."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.jobs import REGISTER_FILE, painted_before


@pytest.mark.timeout(60)
def test_a_page_of_what_was_painted_needs_something_painted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.picture", "--painted", "--farm", str(tmp_path / "farm")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert result.returncode == 1
    assert result.stderr == f"--painted: nothing was painted in {tmp_path / 'farm'} yet; run it without --painted\n"
    assert not (tmp_path / "farm").exists()


def test_a_farm_has_painted_when_it_has_a_register(tmp_path: Path) -> None:
    assert not painted_before(tmp_path)
    (tmp_path / REGISTER_FILE).write_text("{}")
    assert painted_before(tmp_path)
