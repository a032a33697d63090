"""What moves the pixels: Adam (Kingma & Ba 2015) or L-BFGS (Liu & Nocedal 1989) on the image itself.

The loss stays on the device: nothing here waits for it but L-BFGS's line search, which must.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.optim.adam import adam

from farm.contract.params import Optimizer
from worker.engine.losses import PHASES
from worker.engine.objective import Objective

ADAM_BETAS = (0.9, 0.99)
ADAM_EPS = 1e-8
FINAL_RATE = 0.1
LBFGS_HISTORY = 20
LBFGS_EVALUATIONS = 10
"""Most evaluations of one line search."""


def optimized(
    image_bchw: Tensor,
    objective: Objective,
    *,
    steps: int,
    optimizer: Optimizer,
    learning_rate: float,
    pace: Tensor | None = None,
    after_step: Callable[[int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """The image after `steps` steps, `(1, 3, H, W) float32 [0, 1]`, and the last step's loss terms.

    `pace`, `(1, 1, H, W) float32 [0, 1]`: share of each step a place takes; the whole if not given.
    `after_step` is called with the number of steps done, from 1; what it raises ends the work at once.
    The last step is always at the first of the phases: losses compare, however many steps led to them.
    """
    # Rows of pixels stay whole in memory: the optimiser's passes over the image then run along them.
    pixels = image_bchw.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    adam = optimizer is Optimizer.ADAM
    step = _adam(pixels, objective, learning_rate, steps, pace) if adam else _lbfgs(pixels, objective, pace)
    with torch.no_grad():
        terms = objective.terms(pixels) if steps == 0 else torch.zeros(0)
    for done in range(1, steps + 1):
        terms = step(done)
        if after_step is not None:
            after_step(done)
    return pixels.detach().clamp_(0, 1), terms


def _adam(
    pixels: Tensor, objective: Objective, learning_rate: float, steps: int, pace: Tensor | None
) -> Callable[[int], Tensor]:
    """Torch's own arithmetic without its class, whose first use imports the compiler: longer than torch itself."""
    mean, square, count = torch.zeros_like(pixels), torch.zeros_like(pixels), torch.zeros(())

    def step(done: int) -> Tensor:
        terms = objective.descend(pixels, PHASES[(done - steps) % len(PHASES)])
        before = None if pace is None else pixels.detach().clone()
        gradient = pixels.grad
        assert gradient is not None
        with torch.no_grad():
            adam(
                [pixels], [gradient], [mean], [square], [], [count], amsgrad=False, beta1=ADAM_BETAS[0],
                beta2=ADAM_BETAS[1], lr=learning_rate * decay(done, steps), weight_decay=0.0, eps=ADAM_EPS,
                maximize=False,
            )  # fmt: skip
            if before is not None and pace is not None:
                pixels.copy_(before.lerp_(pixels, pace))
            pixels.clamp_(0, 1)
        return terms

    return step


def decay(step: int, steps: int) -> float:
    """Share of the learning rate at a step from 1: falls from 1 to `FINAL_RATE` by a cosine.

    Adam moves every pixel by about its rate whatever the gradient's size; without the fall the last steps leave noise.
    """
    turn = (step - 1) / max(1, steps - 1)
    return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * turn))


def _lbfgs(pixels: Tensor, objective: Objective, pace: Tensor | None) -> Callable[[int], Tensor]:
    """On variables of which a place moves by its share, so that the line search finds what it expects."""
    start, share = pixels.detach().clone(), torch.ones_like(pixels) if pace is None else pace
    moved = torch.zeros_like(start, requires_grad=True)
    lbfgs = torch.optim.LBFGS(
        [moved],
        max_iter=1,
        max_eval=LBFGS_EVALUATIONS,
        history_size=LBFGS_HISTORY,
        line_search_fn="strong_wolfe",
    )
    last: list[Tensor] = []

    @torch.no_grad()
    def put() -> None:
        pixels.copy_(start + share * moved)

    def closure() -> Tensor:
        put()
        last[:] = [objective.descend(pixels)]
        assert pixels.grad is not None
        moved.grad = share * pixels.grad
        return last[0][-1]

    def step(_done: int) -> Tensor:
        lbfgs.step(closure)  # type: ignore[no-untyped-call]
        put()
        return last[0]

    return step
