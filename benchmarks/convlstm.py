"""Time of a ConvLSTM layer, forward + backward, against the usual ways to write one.

All ways share weights and input (gradients for both) and are timed alternately in one run; those of
Eq. 1 as it is printed are checked to agree. From the checkout:
`OMP_WAIT_POLICY=PASSIVE python benchmarks/convlstm.py`.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from facemask.models import ConvLSTM

Gates = Callable[[ConvLSTM, Tensor, Tensor], Tensor]

BATCH, FRAMES, IN_CHANNELS, OUT_CHANNELS, SIZE = 2, 5, 2048, 5, 20
WARM_UP, ROUNDS = 3, 20


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


def gates_hoisted(layer: ConvLSTM, x: Tensor, h: Tensor) -> Tensor:
    """The same, with the input convolved already."""
    return x + F.conv2d(h, layer.weight_recurrent, padding=layer.kernel_size // 2)


def per_step(layer: ConvLSTM, x: Tensor, gates: Gates) -> Tensor:
    """Eq. 1 with nothing taken out of the time loop."""
    W_ci, W_cf, W_co = (layer.get_parameter(f"weight_c{gate}") for gate in "ifo")
    h = c = x.new_zeros(len(x), layer.out_channels, *x.shape[3:])
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = gates(layer, x[:, t], h).chunk(4, 1)
        i, f = torch.sigmoid(i + W_ci * c), torch.sigmoid(f + W_cf * c)
        c = f * c + i * torch.tanh(g)
        h = torch.sigmoid(o + W_co * c) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs, 1)


def hoisted_conv2d(layer: ConvLSTM, x: Tensor) -> Tensor:
    """The input's convolution taken out of the loop, by `F.conv2d`."""
    padding = layer.kernel_size // 2
    gates = F.conv2d(x.flatten(0, 1), layer.weight_input, layer.bias, padding=padding)
    gates = gates.reshape(*x.shape[:2], *gates.shape[1:])
    return per_step(layer, gates, gates_hoisted)


def time_kernel(kernel_size: int) -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(IN_CHANNELS, OUT_CHANNELS, kernel_size)
    frames = torch.randn(BATCH * FRAMES, IN_CHANNELS, SIZE, SIZE).relu()  # like encoder features
    shape = (BATCH, FRAMES, IN_CHANNELS, SIZE, SIZE)
    nchw = frames.view(shape).requires_grad_()
    last = frames.contiguous(memory_format=torch.channels_last).view(shape).requires_grad_()
    linear, authors = copy.copy(layer), copy.copy(layer)  # of the same weights
    linear.activation = authors.activation = "linear"
    authors.gate_activation = "hard_sigmoid"
    cells: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "linear ConvLSTM, channels-last": lambda: (linear(last)[0], last),
        "… with hard-sigmoid gates": lambda: (authors(last)[0], last),
    }
    ways: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
        "ConvLSTM, channels-last": lambda: (layer(last)[0], last),
        **cells,
        "ConvLSTM, NCHW": lambda: (layer(nchw)[0], nchw),
        "hoisted F.conv2d, channels-last": lambda: (hoisted_conv2d(layer, last), last),
        "hoisted F.conv2d, NCHW": lambda: (hoisted_conv2d(layer, nchw), nchw),
        "conv(x) + conv(h) a step, channels-last": lambda: (per_step(layer, last, gates_sum), last),
        "conv(x) + conv(h) a step, NCHW": lambda: (per_step(layer, nchw, gates_sum), nchw),
        "conv(cat[x, h]) a step, channels-last": lambda: (per_step(layer, last, gates_cat), last),
        "conv(cat[x, h]) a step, NCHW": lambda: (per_step(layer, nchw, gates_cat), nchw),
    }
    milliseconds: dict[str, list[float]] = {name: [] for name in ways}
    expected: list[Tensor | None] = []
    for n in range(WARM_UP + ROUNDS):
        for name, way in ways.items():
            layer.zero_grad()
            nchw.grad = last.grad = None
            start = time.perf_counter()
            y, x = way()
            torch.autograd.backward(y.square().sum())
            milliseconds[name].append(1000 * (time.perf_counter() - start))
            if n == 0 and name not in cells:
                results = [y.detach(), x.grad, *(p.grad for p in layer.parameters())]
                expected = expected or results
                torch.testing.assert_close(results, expected, rtol=1e-3, atol=1e-3)
    medians = {name: statistics.median(times[WARM_UP:]) for name, times in milliseconds.items()}
    first = next(iter(medians.values()))
    print(f"\nkernel {kernel_size}: (B, T, C, H, W) = {shape} -> {OUT_CHANNELS} channels")
    print(f"{'forward + backward':<42}{'median ms':>10}{'ratio':>8}")
    for name, median in medians.items():
        print(f"{name:<42}{median:>10.1f}{median / first:>8.2f}")


def main() -> None:
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, medians of {ROUNDS}")
    for kernel_size in (1, 3):
        time_kernel(kernel_size)


if __name__ == "__main__":
    main()
