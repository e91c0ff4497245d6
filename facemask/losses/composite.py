"""A weighted sum of losses whose terms can be logged one by one."""

import math
import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from facemask.errors import InputError
from facemask.losses._pixels import LossModule


class CompositeLoss(LossModule):
    """Weighted sum of named losses of the same scores and target.

    Calling it gives the total to backpropagate; `with_terms` gives the terms too. facemask's
    Lightning modules log `<stage>/loss` and, for each term, `<stage>/loss_<name>`.

    Args:
        terms: The losses by name; each is called with scores and target and returns a scalar. Or a
            list of losses, named by their classes: `iou` for an `IoULoss`, `iou_2` for a second.
        weights: The weight of each term by name, 0 or more, 1 where not given; or a list, in the
            order of the terms.

    Raises:
        InputError: No terms, a term that is not a module, a name that a log cannot hold, or a
            weight that is negative, not finite or of no term.

    Examples:
        >>> import torch
        >>> from facemask.losses import CrossEntropyLoss, SegmentationLoss
        >>> loss = CompositeLoss(
        ...     {"ce": CrossEntropyLoss(), "seg": SegmentationLoss("hinge", margin=1.0)},
        ...     weights={"seg": 0.5},
        ... )
        >>> scores = torch.zeros(10, 3, 4, 4, requires_grad=True)
        >>> total, terms = loss.with_terms(scores, torch.ones(10, 4, 4, dtype=torch.uint8))
        >>> total.backward()
        >>> round(total.item(), 3), {name: round(term.item(), 3) for name, term in terms.items()}
        (1.349, {'ce': 1.099, 'seg': 0.5})
        >>> CompositeLoss([CrossEntropyLoss(), SegmentationLoss()], [1, 0.5]).weights
        {'cross_entropy': 1.0, 'segmentation': 0.5}
    """

    def __init__(
        self,
        terms: Mapping[str, nn.Module] | Sequence[nn.Module],
        weights: Mapping[str, float] | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(terms, Mapping):
            terms = _by_name(terms)
        if weights is not None and not isinstance(weights, Mapping):
            if len(weights) != len(terms):
                raise InputError(
                    f"CompositeLoss got {len(weights)} weights and {len(terms)} terms: give one a "
                    "term."
                )
            weights = dict(zip(terms, weights, strict=True))
        if not terms:
            raise InputError("CompositeLoss got no terms: give at least one loss by name.")
        for name, term in terms.items():
            if not isinstance(term, nn.Module):
                raise InputError(
                    f"CompositeLoss got term {name!r} of type {type(term).__name__}: give a "
                    "torch.nn.Module, such as facemask.losses.IoULoss()."
                )
            if not name.isidentifier() or hasattr(nn.ModuleDict, name):
                raise InputError(
                    f"CompositeLoss got the name {name!r}: give letters, digits and _, and no "
                    "name of a dictionary's method."
                )
        weights = dict(weights or {})
        unknown = sorted(weights.keys() - terms.keys())
        if unknown:
            raise InputError(
                f"CompositeLoss got weights of {', '.join(unknown)}, but its terms are "
                f"{', '.join(terms)}: name them alike."
            )
        for name, weight in weights.items():
            if not 0 <= weight < math.inf:  # NaN is neither
                raise InputError(
                    f"CompositeLoss got weight {weight} of {name}: give a finite number, 0 or more."
                )
        self.terms = nn.ModuleDict(terms)
        self.weights = {name: float(weights.get(name, 1.0)) for name in terms}

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Return the weighted sum of all terms, a scalar."""
        return self.with_terms(scores, target)[0]

    def with_terms(self, scores: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of all terms, and each term by name.

        Returns:
            The total, with its graph, and the terms as they are before weighting, detached.
        """
        values = {name: term(scores, target) for name, term in self.terms.items()}
        total = torch.stack([self.weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}


def _by_name(terms: Sequence[nn.Module]) -> dict[str, nn.Module]:
    """Return losses by the names of their classes, without "Loss" and numbered from the second."""
    named: dict[str, nn.Module] = {}
    for term in terms:
        kind = type(term).__name__
        stem = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", kind.removesuffix("Loss") or kind).lower()
        same = sum(re.fullmatch(rf"{stem}(_\d+)?", name) is not None for name in named)
        named[f"{stem}_{same + 1}" if same else stem] = term
    return named
