"""Convolutional LSTM layer (Eq. 1)."""

from typing import TypeAlias

import torch
from torch import Tensor, nn

from facemask.errors import InputError
from facemask.models.cell import (
    CELLS,
    GATES,
    CellActivation,
    GateActivation,
    KernelStart,
    check_arguments,
    check_choice,
    check_deviation,
    he_normal_,
    start_biases,
)
from facemask.models.convolution import conv2d_same

State: TypeAlias = tuple[Tensor, Tensor]
"""(h, c): hidden and cell state, each (B, out_channels, H, W)."""


class ConvLSTM(nn.Module):
    r"""Convolutional LSTM with peepholes, Eq. 1 of the paper (Shi et al. 2015).

    .. math::
        i_t &= \sigma(W_{xi} * X_t + W_{hi} * H_{t-1} + W_{ci} \circ C_{t-1} + b_i) \\
        f_t &= \sigma(W_{xf} * X_t + W_{hf} * H_{t-1} + W_{cf} \circ C_{t-1} + b_f) \\
        C_t &= f_t \circ C_{t-1} + i_t \circ \tanh(W_{xc} * X_t + W_{hc} * H_{t-1} + b_c) \\
        o_t &= \sigma(W_{xo} * X_t + W_{ho} * H_{t-1} + W_{co} \circ C_t + b_o) \\
        H_t &= o_t \circ \tanh(C_t)

    where * is a convolution with "same" zero padding. The output lies in (-1, 1). With
    `activation="linear"` both tanh are left out, and the output is free, as an FCN's scores are.

    The weights of the four gates are stacked along dimension 0 in the order i, f, c, o (that of
    `torch.nn.LSTM` and Keras): `weight_input` (4·out, in, k, k), `weight_recurrent`
    (4·out, out, k, k), `bias` (4·out). The peepholes `weight_ci`, `weight_cf` and `weight_co` are
    (out, 1, 1), or (out, H, W) with `peephole_size`; without peepholes they are None.

    The input is convolved for all frames at once, outside the time loop.

    Examples:
        >>> layer = ConvLSTM(8, 5, kernel_size=3)
        >>> y, state = layer(torch.rand(2, 4, 8, 6, 7))
        >>> y.shape, state[0].shape
        (torch.Size([2, 4, 5, 6, 7]), torch.Size([2, 5, 6, 7]))
        >>> y, state = layer(torch.rand(2, 8, 6, 7), state)  # the next frame
        >>> y.shape
        torch.Size([2, 5, 6, 7])
    """

    weight_ci: nn.Parameter | None
    weight_cf: nn.Parameter | None
    weight_co: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        peephole: bool = True,
        peephole_size: tuple[int, int] | None = None,
        activation: CellActivation = "tanh",
        gate_activation: GateActivation = "sigmoid",
    ) -> None:
        """Make a layer with new weights, those of `reset_parameters`.

        Args:
            in_channels: Channels of the input.
            out_channels: Channels of output, hidden and cell state.
            kernel_size: Side of the input's and the recurrent kernels, odd.
            peephole: Whether the gates see the cell state; False is the variant of Keras.
            peephole_size: (H, W) of the paper's full-map Hadamard weights W_ci, W_cf, W_co, which
                fix the size of the input. None: one weight a channel, for inputs of any size.
            activation: Of candidate and output: "tanh" (Eq. 1) or "linear".
            gate_activation: Of the three gates: "sigmoid" (Eq. 1), or "hard_sigmoid" as Keras 2
                computed it, clip(0.2 x + 0.5, 0, 1).

        Raises:
            InputError: A channel count or a size is below 1, the kernel is even, `peephole_size`
                is given without `peephole`, or an activation is unknown.
        """
        super().__init__()
        check_arguments(in_channels, out_channels, kernel_size, peephole, peephole_size)
        check_choice("activation", activation, CELLS)
        check_choice("gate_activation", gate_activation, GATES)
        self.activation = activation
        self.gate_activation = gate_activation
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.peephole_size = None if peephole_size is None else tuple(peephole_size)
        k = kernel_size
        self.weight_input = nn.Parameter(torch.empty(4 * out_channels, in_channels, k, k))
        self.weight_recurrent = nn.Parameter(torch.empty(4 * out_channels, out_channels, k, k))
        self.bias = nn.Parameter(torch.empty(4 * out_channels))
        for name in ("weight_ci", "weight_cf", "weight_co"):
            weight = nn.Parameter(torch.empty(out_channels, *(peephole_size or (1, 1))))
            self.register_parameter(name, weight if peephole else None)
        self.reset_parameters()

    def reset_parameters(self, kernel: KernelStart = "glorot") -> None:
        """Draw new weights as Keras does: recurrent ones orthogonal; peepholes and biases 0.

        The forget gate's bias is 1.

        Args:
            kernel: Distribution of the input's weights: "glorot" (uniform) or "he_normal" (normal,
                cut off at two deviations).

        Raises:
            InputError: The distribution is unknown.
        """
        check_choice("kernel", kernel, ("glorot", "he_normal"))
        if kernel == "glorot":
            nn.init.xavier_uniform_(self.weight_input)
        else:
            he_normal_(self.weight_input)
        nn.init.orthogonal_(self.weight_recurrent)
        nn.init.zeros_(self.bias)
        nn.init.ones_(self.bias[self.out_channels : 2 * self.out_channels])
        for weight in (self.weight_ci, self.weight_cf, self.weight_co):
            if weight is not None:
                nn.init.zeros_(weight)

    @classmethod
    def authors_cell(cls, in_channels: int, out_channels: int, kernel_size: int = 1) -> "ConvLSTM":
        """Make a layer as the paper's authors probably had it, with new weights.

        Linear, without peepholes, with Keras 2's hard sigmoid and `he_normal`. It is inferred, not
        published (docs/models.md), and they trained it with an L2 penalty on the input's weights.
        """
        layer = cls(
            in_channels,
            out_channels,
            kernel_size,
            peephole=False,
            activation="linear",
            gate_activation="hard_sigmoid",
        )
        layer.reset_parameters("he_normal")
        return layer

    @torch.no_grad()
    def divide_input_weights(self, deviation: Tensor | float) -> None:
        """Divide the weights of the input by its deviation, in place.

        New weights are made for an input of unit deviation. A wider one saturates the gates and
        tanh, where there is no gradient, and whole classes may never be learnt.

        Args:
            deviation: Root mean square of the input, one number, or one for each of its channels,
                (in,).

        Raises:
            InputError: It has another shape, or is not above 0 and finite.
        """
        divisor = torch.as_tensor(deviation).to(self.weight_input)
        check_deviation(divisor, self.in_channels)
        self.weight_input.div_(divisor.view(-1, 1, 1))

    @torch.no_grad()
    def start_from_convolution(self, convolution: nn.Conv2d, scale: float) -> None:
        """Make the layer begin as a scaled 1 × 1 convolution, in place.

        From a zero state the first output is scale · convolution(x), bent by two tanh unless the
        activation is linear (by 1 % at 0.1). Input and output gates are open, and the candidate's
        weights make up for what they still hold back; no gate sees anything yet. Later outputs are
        a decaying sum over the frames; the linear layer, which nothing bounds, forgets faster.

        A bounded layer started at random can lose rare classes at once: their channels saturate
        at -1, where no gradient brings them back.

        Args:
            convolution: From in_channels to out_channels, kernel 1.
            scale: 1 for the linear activation; with tanh about the inverse of the largest scores,
                which keeps it from saturating.
        """
        n, centre = self.out_channels, self.kernel_size // 2
        for parameter in self.parameters():
            nn.init.zeros_(parameter)
        opened, forgotten, passed = start_biases(self.activation, self.gate_activation)
        self.bias[:n] = self.bias[3 * n :] = opened  # input and output gates
        self.bias[n : 2 * n] = forgotten
        factor, weight = scale / passed**2, convolution.weight[:, :, 0, 0]
        self.weight_input[2 * n : 3 * n, :, centre, centre] = factor * weight
        if convolution.bias is not None:
            self.bias[2 * n : 3 * n] = factor * convolution.bias

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run the layer over a clip, or over one frame.

        Feeding a clip frame by frame, each with the state of the one before, gives the same as
        feeding it at once.

        Args:
            x: Floating point features (B, T, in, H, W), or (B, in, H, W) for a single frame.
                Fastest where each frame is channels-last in memory.
            state: (h, c) after the previous frame, each (B, out, H, W); None for zeros. It is
                brought to the dtype and device of `x`.

        Returns:
            The hidden states (B, T, out, H, W), or (B, out, H, W) for a single frame, and the state
            (h, c) after the last frame, all in the dtype of `x`, also under autocast.

        Raises:
            InputError: `x` or `state` has another shape.
        """
        self._check_input(x)
        if single := x.ndim == 4:
            x = x.unsqueeze(1)  # (B, 1, in, H, W)
        shape = (len(x), self.out_channels, *x.shape[3:])
        if state is None:
            h = c = x.new_zeros(shape)
        else:
            self._check_state(state, shape)
            h, c = (s.to(x) for s in state)
        outputs = []
        for gates_x in self._convolve_input(x).unbind(1):  # (B, 4·out, H, W)
            h, c = self.step(gates_x, h, c)
            outputs.append(h)
        y = h if single else torch.stack(outputs, 1)  # (B, T, out, H, W)
        return y, (h, c)

    def last_of_windows(self, x: Tensor, length: int) -> Tensor:
        """Compute each frame's output as the last of a window, which starts from a zero state.

        The same as `forward` on each window by itself, but the input is convolved once for all.

        Args:
            x: As in `forward`, (B, T, in, H, W).
            length: Frames in a window; there are fewer before the first frames.

        Returns:
            (B, T, out, H, W).

        Raises:
            InputError: `x` has another shape.
        """
        self._check_input(x)
        gates = self._convolve_input(x)  # (B, T, 4·out, H, W)
        h = c = x.new_zeros(*x.shape[:2], self.out_channels, *x.shape[-2:])
        for back in range(min(length, x.shape[1]) - 1, -1, -1):
            # the windows of the first `back` frames, which begin at 0, have not begun
            now = (gates[:, : gates.shape[1] - back], h[:, back:], c[:, back:])
            new_h, new_c = self.step(*(part.flatten(0, 1) for part in now))
            h = torch.cat([h[:, :back], new_h.view_as(now[1])], dim=1)
            c = torch.cat([c[:, :back], new_c.view_as(now[2])], dim=1)
        return h

    def _convolve_input(self, x: Tensor) -> Tensor:
        """Compute what the gates get from the input, (B, T, 4·out, H, W)."""
        # channels-last, `step` would take two to four times as long: a gate has few channels
        gates = conv2d_same(x.flatten(0, 1), self.weight_input, self.bias).contiguous()
        return gates.reshape(*x.shape[:2], *gates.shape[1:])

    def step(self, gates_x: Tensor, h: Tensor, c: Tensor) -> State:
        """Compute h and c of a frame from its gates' input (B, 4·out, H, W) and those before."""
        gates = (gates_x + conv2d_same(h, self.weight_recurrent)).to(c.dtype)
        i, f, g, o = gates.chunk(4, dim=1)  # each (B, out, H, W)
        if self.weight_ci is not None and self.weight_cf is not None:
            i = i + self.weight_ci.to(c.dtype) * c
            f = f + self.weight_cf.to(c.dtype) * c
        gate, activation = GATES[self.gate_activation], CELLS[self.activation]
        c = gate(f) * c + gate(i) * activation(g)
        if self.weight_co is not None:
            o = o + self.weight_co.to(c.dtype) * c  # the new cell state, unlike i and f
        return gate(o) * activation(c), c

    def _check_input(self, x: Tensor) -> None:
        if x.ndim not in (4, 5) or x.shape[-3] != self.in_channels or x.shape[1] == 0:
            raise InputError(
                f"ConvLSTM got features of shape {tuple(x.shape)}: give "
                f"(B, T, {self.in_channels}, H, W) with T ≥ 1, or (B, {self.in_channels}, H, W)"
            )
        if self.peephole_size is not None and x.shape[-2:] != self.peephole_size:
            raise InputError(
                f"ConvLSTM got feature maps of size {tuple(x.shape[-2:])}, but its peepholes are "
                f"{self.peephole_size}: give maps of that size, or build it without peephole_size"
            )

    def _check_state(self, state: State, shape: tuple[int, ...]) -> None:
        if len(state) != 2 or any(s.shape != shape for s in state):
            raise InputError(
                f"ConvLSTM got a state of shapes {[tuple(s.shape) for s in state]}: "
                f"give (h, c), each {shape}, or None to start anew"
            )

    def extra_repr(self) -> str:
        """Return the arguments, for `print(layer)`."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"peephole={self.weight_ci is not None}, peephole_size={self.peephole_size}, "
            f"activation={self.activation!r}, gate_activation={self.gate_activation!r}"
        )
