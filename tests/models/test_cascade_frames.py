"""What the networks of a cascade see."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from facemask.resample import resize_in_steps, resize_whole


@pytest.mark.parametrize(("height", "width", "size"), [(144, 131, 208), (300, 281, 64)])
def test_a_gpu_sees_what_a_cpu_sees(height: int, width: int, size: int) -> None:
    rng = np.random.default_rng(height)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, height // 6, width // 6)))
    smooth = F.interpolate(coarse, (height, width), mode="bicubic")[0]
    noise = torch.from_numpy(rng.normal(0, 4, smooth.shape))
    frame = (smooth + noise).clamp(0, 255).byte()
    on_cpu, elsewhere = resize_whole(frame, size).int(), resize_in_steps(frame, size).int()
    assert on_cpu.shape == elsewhere.shape == (3, size, size)
    assert (on_cpu - elsewhere).abs().max() <= 1
    assert (on_cpu != elsewhere).float().mean() < 0.01  # rounded once at the end: above 0.1
