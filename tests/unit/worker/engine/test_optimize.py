"""Both optimisers lower the loss, and stop when told."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from farm.contract.errors import ShuttingDown
from farm.contract.params import Optimizer, Params
from worker.engine import Frame, Network
from worker.engine.losses import PHASES, framed, losses_by_name, style_grams
from worker.engine.objective import Objective
from worker.engine.optimize import ADAM_BETAS, FINAL_RATE, decay, optimized
from worker.engine.pixels import image_from_frame, tensor_from_image


@pytest.fixture
def content(texture: Frame) -> torch.Tensor:
    return tensor_from_image(image_from_frame(np.ascontiguousarray(texture[:48, :64])), "cpu")


@pytest.fixture
def objective(network: Network, content: torch.Tensor, stripes: Frame) -> Objective:
    style = tensor_from_image(image_from_frame(stripes), "cpu")
    grams = [gram.detach() for gram in style_grams(network, network(framed(style)))]
    return Objective(network, Params(), style_grams=grams, content_bchw=content)


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_the_loss_falls(optimizer: Optimizer, content: torch.Tensor, objective: Objective) -> None:
    before = losses_by_name(objective.terms(content))["total"]
    painted, _ = optimized(content, objective, steps=30, optimizer=optimizer, learning_rate=0.03)
    assert losses_by_name(objective.terms(painted))["total"] < 0.75 * before
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_no_steps_leave_the_picture_and_still_tell_its_losses(content: torch.Tensor, objective: Objective) -> None:
    painted, terms = optimized(content, objective, steps=0, optimizer=Optimizer.ADAM, learning_rate=0.03)
    assert torch.equal(painted, content)
    assert losses_by_name(terms) == pytest.approx(losses_by_name(objective.terms(content)))


def test_the_terms_add_up_to_the_total(content: torch.Tensor, objective: Objective) -> None:
    losses = losses_by_name(objective.terms(content))
    assert list(losses) == ["content", "style", "tv", "temporal", "total"]
    assert sum(losses.values()) == pytest.approx(2 * losses["total"])
    assert losses["content"] == pytest.approx(0, abs=1e-6)  # the content itself is painted
    assert losses["temporal"] == 0


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_the_last_losses_are_of_the_same_phase_however_many_steps(
    steps: int, content: torch.Tensor, objective: Objective
) -> None:
    _, terms = optimized(content, objective, steps=steps, optimizer=Optimizer.ADAM, learning_rate=1e-9)
    torch.testing.assert_close(terms, objective.terms(content, PHASES[0]), rtol=1e-4, atol=1e-6)


def test_phases_differ_in_their_losses(content: torch.Tensor, objective: Objective) -> None:
    assert len({float(objective.terms(content, phase)[1]) for phase in PHASES}) == len(PHASES)


def test_an_interruption_ends_the_work_within_one_step(content: torch.Tensor, objective: Objective) -> None:
    seen: list[int] = []

    def stop_at_the_second(step: int) -> None:
        seen.append(step)
        if step == 2:
            raise ShuttingDown("this worker was asked to end")

    with pytest.raises(ShuttingDown):
        optimized(
            content, objective, steps=50, optimizer=Optimizer.ADAM, learning_rate=0.03, after_step=stop_at_the_second
        )
    assert seen == [1, 2]


def test_the_rate_falls_from_one_to_the_final_rate() -> None:
    assert decay(1, 11) == pytest.approx(1)
    assert decay(6, 11) == pytest.approx((1 + FINAL_RATE) / 2)
    assert decay(11, 11) == pytest.approx(FINAL_RATE)
    assert decay(1, 1) == pytest.approx(1)


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_a_place_without_pace_is_not_touched(optimizer: Optimizer, content: torch.Tensor, objective: Objective) -> None:
    pace = torch.zeros((1, 1, *content.shape[-2:]))
    pace[..., 32:] = 0.5
    painted, _ = optimized(content, objective, steps=3, optimizer=optimizer, learning_rate=0.03, pace=pace)
    assert torch.equal(painted[..., :32], content[..., :32])
    moved = (painted - content)[..., 32:].abs()
    assert moved.max() > 0
    if optimizer is Optimizer.ADAM:
        assert moved.max() <= 0.5 * 0.03 * 3 + 1e-6


def test_half_the_pace_is_half_the_learning_rate(content: torch.Tensor, objective: Objective) -> None:
    inside = content.clamp(0.2, 0.8)  # so that no step ends at a border of [0, 1]
    pace = torch.full((1, 1, *content.shape[-2:]), 0.5)
    paced, _ = optimized(inside, objective, steps=3, optimizer=Optimizer.ADAM, learning_rate=0.02, pace=pace)
    slower, _ = optimized(inside, objective, steps=3, optimizer=Optimizer.ADAM, learning_rate=0.01)
    assert torch.allclose(paced, slower, atol=1e-5)


PAINTED = """
import sys
import numpy as np
from farm.contract.params import Params
from worker.engine import stylize

picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
stylize(picture, picture, Params(steps=2))
print([name for name in ("torch._dynamo", "sympy", "torchvision") if name in sys.modules])
"""


def test_a_new_process_paints_without_the_compiler_or_torchvision() -> None:
    """Either takes longer to import than torch itself, and each new worker would wait for it before its first step."""
    ended = subprocess.run([sys.executable, "-c", PAINTED], capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout.strip() == "[]"


def test_adam_is_torchs(content: torch.Tensor, objective: Objective) -> None:
    painted, _ = optimized(content, objective, steps=5, optimizer=Optimizer.ADAM, learning_rate=0.03)
    pixels = content.clone().requires_grad_()
    adam = torch.optim.Adam([pixels], lr=0.03, betas=ADAM_BETAS)
    for done in range(1, 6):
        adam.param_groups[0]["lr"] = 0.03 * decay(done, 5)
        objective.descend(pixels, PHASES[(done - 5) % len(PHASES)])
        adam.step()
        with torch.no_grad():
            pixels.clamp_(0, 1)
    assert torch.equal(painted, pixels.detach())
