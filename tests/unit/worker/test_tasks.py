"""What a task's error says of the device this process holds."""

from __future__ import annotations

import pytest
import torch

from worker.tasks import DeviceWatch


@pytest.mark.parametrize(
    ("error", "broken"),
    [
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), False),
        (RuntimeError("this task is broken"), False),
    ],
)
def test_a_broken_device_is_told_from_a_task_that_failed(error: RuntimeError, broken: bool) -> None:
    device = DeviceWatch()

    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        device.watched(work)  # type: ignore[arg-type]
    assert device.is_broken is broken
