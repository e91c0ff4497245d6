"""Means over an epoch that do not depend on the number of processes."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class WeightedMeans(Metric):
    """Weighted means over an epoch, the same to the last bit for any number of processes.

    What is added is kept until the epoch ends, so that adding makes no device wait, and is then
    exchanged once and summed without rounding errors, so that the order does not matter.

    Args:
        names: Of the values.

    Examples:
        >>> means = WeightedMeans(["loss"])
        >>> means.update({"loss": torch.tensor(1.0)}, weight=3)
        >>> means.update({"loss": torch.tensor(5.0)}, weight=1)
        >>> means.compute()
        {'loss': tensor(2.)}
    """

    full_state_update = False
    rows: list[Tensor]

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, values: Mapping[str, Tensor], weight: int) -> None:
        """Add one batch.

        Args:
            values: A scalar by each name; an empty batch, of weight 0, may leave them out.
            weight: Such as its number of frames.
        """
        device = next(iter(values.values())).device if values else self.device
        row = torch.zeros(1, len(self.names) + 1, device=device)
        row[0, -1] = weight
        if weight and self.names:
            row[0, :-1] = torch.stack([values[name].detach().float() for name in self.names])
        self.rows.append(row)

    def compute(self) -> dict[str, Tensor]:
        """The means by name, float32; NaN where nothing was added."""
        rows = dim_zero_cat(self.rows).cpu().double() if len(self.rows) else torch.zeros(0, 1)
        weights = rows[:, -1].tolist()
        total = sum(weights)
        means = {}
        for i, name in enumerate(self.names if total else ()):
            products = [v * w for v, w in zip(rows[:, i].tolist(), weights, strict=True) if w]
            finite = all(map(math.isfinite, products))
            means[name] = (math.fsum(products) if finite else sum(products)) / total
        return {name: torch.tensor(means.get(name, math.nan)) for name in self.names}
