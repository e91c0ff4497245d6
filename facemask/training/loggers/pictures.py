"""Pictures of clips with their masks."""

import io
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from facemask.data.sheet import draw_head, draw_text, paint, stack
from facemask.regions import Region
from facemask.resample import resize_image
from facemask.training.loggers.clips import LabelledClip

Picture: TypeAlias = npt.NDArray[np.uint8]

_VIDEO_SIDE: Final = 256  # pixels of a frame in the video, at most
_SAMPLES: Final = 4096  # pixels of each class from which the video's colours are chosen
_MILLISECONDS: Final = 100  # a frame in the video: a third of the speed, so that flicker shows


def in_a_row(frames: Picture) -> Picture:
    """Frames (T, S, S[, 3]) side by side: (S, T * S[, 3])."""
    return np.concatenate(list(frames), axis=1)


def comparison(clip: LabelledClip, region: Region) -> Picture:
    """A clip with its true and its predicted masks in the palette's colours, with a legend.

    Args:
        clip: The clip.
        region: Whose class ids the masks hold.

    Returns:
        RGB, uint8 (H, W, 3): a clip's frames in two rows, a single frame's two pictures side by
        side.
    """
    blocks = []
    for title, masks in (("truth", clip.truth), ("prediction", clip.prediction)):
        row = in_a_row(paint(clip.images, masks, region))
        blocks.append(stack([draw_text(title, row.shape[1]), row]))
    picture = stack(blocks, axis=0 if len(clip.names) > 1 else 1)
    span = " to ".join(dict.fromkeys((clip.names[0], clip.names[-1])))
    return stack([draw_head(span, region, picture.shape[1]), picture])


def to_gif(clip: LabelledClip, region: Region) -> bytes:
    """An animated GIF of a clip: each frame, and beside it the same with the predicted mask.

    It repeats for ever, at 10 frames a second.
    """
    painted = paint(clip.images, clip.prediction, region)
    side = min(_VIDEO_SIDE, clip.images.shape[1])
    palette = _palette(clip.images, painted, clip.prediction)
    frames = [
        # the colour nearest to each pixel's: dithering would flicker
        Image.fromarray(resize_image(np.concatenate(pair, axis=1), side, 2 * side)).quantize(
            palette=palette, dither=Image.Dither.NONE
        )
        for pair in zip(clip.images, painted, strict=True)
    ]
    content = io.BytesIO()
    frames[0].save(
        content,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=_MILLISECONDS,
        loop=0,
    )
    return content.getvalue()


def _palette(images: Picture, painted: Picture, masks: Picture) -> Image.Image:
    """256 colours, of which every class gets its share: eyes are few pixels.

    One palette for all frames, which keeps colours from changing and takes less time.
    """
    parts = [images.reshape(-1, 3), *(painted[masks == c] for c in np.unique(masks))]
    taken = [part[np.linspace(0, len(part) - 1, _SAMPLES).astype(int)] for part in parts]
    return Image.fromarray(np.stack(taken)).quantize(256, method=Image.Quantize.MEDIANCUT)
