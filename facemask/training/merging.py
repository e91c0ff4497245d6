"""Labels that leave several classes open, in training: see `facemask.losses.marginal`."""

from collections.abc import Sequence

from torch import Tensor, nn

from facemask.classes import OPEN
from facemask.errors import InputError
from facemask.losses.marginal import holds_class_sets, merge_class_sets, merging_temperature


def merge_labels(
    loss: nn.Module, scores: Tensor, masks: Tensor, names: Sequence[Sequence[str]]
) -> tuple[Tensor, Tensor]:
    """Merge scores where labels leave several classes open, with the loss's own temperature.

    Args:
        loss: What the scores are for.
        scores: (N, C, S, S).
        masks: Class ids and sets of them, int64 (N, S, S).
        names: Names of each clip's real frames, for the error message.

    Returns:
        Scores and class ids for the loss; those given where no label is a set, or where there are
        so many classes that it may be the id of one.

    Raises:
        InputError: The loss cannot take merged scores, or a set holds a class that the scores lack.
    """
    if scores.shape[1] > OPEN or not holds_class_sets(masks):
        return scores, masks
    temperature = merging_temperature(loss)
    try:
        return merge_class_sets(scores, masks, temperature)
    except InputError as error:
        place = next(n for n in range(len(masks)) if _is_wrong(scores[n], masks[n]))
        clip, frame = divmod(place, len(masks) // len(names))
        raise InputError(f"{names[clip][frame]}: {error}") from error


def _is_wrong(scores: Tensor, mask: Tensor) -> bool:
    try:
        merge_class_sets(scores[None], mask[None])
    except InputError:
        return True
    return False
