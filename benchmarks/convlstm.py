"""Time of a ConvLSTM layer, forward + backward, against the usual ways to write one.

All ways share weights and input (gradients for both), are checked to agree and are timed
alternately in one run. Run from the checkout: `OMP_WAIT_POLICY=PASSIVE python benchmarks/convlstm.py`.
"""

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.models import ConvLSTM

BATCH, FRAMES, IN_CHANNELS, OUT_CHANNELS, SIZE = 2, 5, 2048, 5, 20
ROUNDS = 15


def gates_cat(layer: ConvLSTM, x: Tensor, h: Tensor) -> Tensor:
    """One convolution of cat[x, h] a step: the common public code."""
    weight = torch.cat([layer.weight_input, layer.weight_recurrent], 1)
    return F.conv2d(torch.cat([x, h], 1), weight, layer.bias, padding=layer.kernel_size // 2)


def gates_sum(layer: ConvLSTM, x: Tensor, h: Tensor) -> Tensor:
    """conv(x) + conv(h) a step."""
    padding = layer.kernel_size // 2
    return F.conv2d(x, layer.weight_input, layer.bias, padding=padding) + F.conv2d(
        h, layer.weight_recurrent, padding=padding
    )


def per_step(
    layer: ConvLSTM, x: Tensor, gates: Callable[[ConvLSTM, Tensor, Tensor], Tensor]
) -> Tensor:
    """Eq. 1 with nothing taken out of the time loop."""
    assert layer.weight_ci is not None and layer.weight_cf is not None
    assert layer.weight_co is not None
    h = c = x.new_zeros(len(x), layer.out_channels, *x.shape[3:])
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = gates(layer, x[:, t], h).chunk(4, 1)
        i, f = torch.sigmoid(i + layer.weight_ci * c), torch.sigmoid(f + layer.weight_cf * c)
        c = f * c + i * torch.tanh(g)
        h = torch.sigmoid(o + layer.weight_co * c) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs, 1)


def time_kernel(kernel_size: int) -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(IN_CHANNELS, OUT_CHANNELS, kernel_size)
    frames = torch.randn(BATCH * FRAMES, IN_CHANNELS, SIZE, SIZE)
    frames = frames.relu()  # like an encoder's last features
    nchw = frames.unflatten(0, (BATCH, FRAMES)).requires_grad_()
    last = frames.contiguous(memory_format=torch.channels_last)
    last = last.unflatten(0, (BATCH, FRAMES)).requires_grad_()
    ways: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "ConvLSTM, channels-last": lambda: (layer(last)[0], last),
        "ConvLSTM, NCHW": lambda: (layer(nchw)[0], nchw),
        "conv(x) + conv(h) a step, channels-last": lambda: (per_step(layer, last, gates_sum), last),
        "conv(x) + conv(h) a step, NCHW": lambda: (per_step(layer, nchw, gates_sum), nchw),
        "conv(cat[x, h]) a step, channels-last": lambda: (per_step(layer, last, gates_cat), last),
        "conv(cat[x, h]) a step, NCHW": lambda: (per_step(layer, nchw, gates_cat), nchw),
    }
    milliseconds: dict[str, list[float]] = {name: [] for name in ways}
    expected: list[Tensor] = []
    for _ in range(ROUNDS):
        for name, way in ways.items():
            layer.zero_grad()
            nchw.grad = last.grad = None
            start = time.perf_counter()
            y, x = way()
            y.square().sum().backward()
            milliseconds[name].append(1000 * (time.perf_counter() - start))
            assert x.grad is not None and layer.weight_input.grad is not None
            results = [y.detach(), x.grad, layer.weight_input.grad]
            expected = expected or [r.clone() for r in results]
            torch.testing.assert_close(results, expected, rtol=1e-3, atol=1e-3)
    medians = {name: statistics.median(times[2:]) for name, times in milliseconds.items()}
    first = next(iter(medians.values()))
    print(
        f"\nkernel {kernel_size}, B {BATCH}, T {FRAMES}, {IN_CHANNELS} -> {OUT_CHANNELS}, {SIZE}x{SIZE}"
    )
    print(f"{'forward + backward':<42}{'median ms':>10}{'ratio':>8}")
    for name, median in medians.items():
        print(f"{name:<42}{median:>10.1f}{median / first:>8.2f}")


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, medians of {ROUNDS - 2}")
    for kernel_size in (1, 3):
        time_kernel(kernel_size)


if __name__ == "__main__":
    main()
