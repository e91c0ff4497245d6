"""`facemask show`: a contact sheet of a data module's clips, to check the data at a glance."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
import yaml
from jsonargparse import ArgumentError, ArgumentParser

from facemask.boxes import Box
from facemask.classes import IGNORE, OPEN
from facemask.configuration import read_configuration
from facemask.data.augment.transforms import ClipAugmentation
from facemask.data.clips import ClipDataset, read_frame
from facemask.data.datamodule import EpochSampler, FaceMaskDataModule
from facemask.data.sheet import PAPER, Image, draw_head, draw_text, paint, stack, write
from facemask.data.vw300_mask import SPLIT_NAMES, Frame, Split
from facemask.errors import InputError
from facemask.files import make_folder, say_replaced, write_image
from facemask.naming import counted
from facemask.regions import Region, to_region_labels
from facemask.resample import resize_image

_OUTSIDE: Final = 70  # grey level of what lies outside a picture
_YELLOW: Final = (255, 220, 0)


def show(
    source: str,
    root: str | None = None,
    region: Region | None = None,
    side: Split = "train",
    clips: int = 6,
    out: str = "sheet.png",
    epoch: int = 0,
    tile: int = 200,
) -> None:
    """Draw clips as training or scoring gets them, with masks and boxes, into one picture.

    One row a clip, its frames side by side: with the mask over it, plain, and for eyes and mouth
    the face crop with the box. Training clips are shuffled and augmented as in that epoch; those
    of the other sides are taken evenly from all of them.

    Args:
        source: Folder of a data set from `facemask prepare`, or the YAML of a training run, whose
            `data` section is taken as it is.
        root: Folder of the data set, where the YAML names none or another one.
        region: What clips show: face, eyes or mouth; null is the YAML's, else face.
        side: train, val or test.
        clips: Number of clips, at most.
        out: The picture to write, .png or .jpg; one that is there is replaced, which is said.
        epoch: Which epoch of training, from 0.
        tile: Side of one picture in the sheet in pixels.

    Raises:
        InputError: An option is wrong, there is no data, or the picture cannot be written.
    """
    path = Path(out)
    _check(side, {"clips": (clips, 1), "epoch": (epoch, 0), "tile": (tile, 64)}, path)
    data = _data_module(source, root, region)
    data.setup({"train": "fit", "val": "validate", "test": "test"}[side])
    dataset, keys = data.datasets[side], _choose(data, side, clips, epoch)
    rows = [_draw_clip(dataset, key, data.region, tile) for key in keys]
    head = f"{side} of {data.root}: {len(keys)} of {len(dataset)} clips, region {data.region}"
    head += f", epoch {epoch}" if side == "train" else ""
    if dataset.left_out:
        head += f", {counted(dataset.left_out, 'clip')} without it left out"
    replaced = say_replaced(path)
    write_image(path, stack([draw_head(head, data.region, rows[0].shape[1]), *rows]))
    print(f"{path}{replaced}: {head}")


def _check(side: str, numbers: dict[str, tuple[int, int]], out: Path) -> None:
    if side not in SPLIT_NAMES:
        raise InputError(f"--side is {side!r}: give one of {', '.join(SPLIT_NAMES)}.")
    for name, (value, least) in numbers.items():
        if value < least:
            raise InputError(f"--{name} is {value}, expected at least {least}.")
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"--out is {str(out)!r}: give a file that ends in .png or .jpg.")
    if out.is_dir():
        raise InputError(f"{out}: cannot write: it is a folder.")
    make_folder(out.parent)


def _data_module(source: str, root: str | None, region: Region | None) -> FaceMaskDataModule:
    """Make the data module of a folder or of a training YAML, which loads all in this process."""
    if Path(source).suffix not in (".yaml", ".yml"):
        if root is not None:
            raise InputError(f"--root is {root!r}, but {source} is a folder already: leave it out.")
        return FaceMaskDataModule(
            source, region=region or "face", augmentation=ClipAugmentation(), num_workers=0
        )
    try:
        content = read_configuration(Path(source))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no YAML"
        raise InputError(f"{source}: cannot read the configuration: {reason}.") from error
    section = content.get("data") if isinstance(content, dict) else None
    if not isinstance(section, dict) or "class_path" not in section:
        raise InputError(
            f"{source}: has no section `data` with a class_path; give the YAML of a training run."
        )
    given = {"num_workers": 0, "root": root, "region": region}
    options = (section.get("init_args") or {}) | {k: v for k, v in given.items() if v is not None}
    section = {"class_path": section["class_path"], "init_args": options}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(FaceMaskDataModule, "data", required=True)
    try:
        config = parser.parse_object({"data": section})
    except ArgumentError as error:
        raise InputError(f"{source}: its data section is wrong: {error}") from error
    data = parser.instantiate(config).data
    assert isinstance(data, FaceMaskDataModule)  # the parser takes nothing else
    return data


def _choose(data: FaceMaskDataModule, side: Split, clips: int, epoch: int) -> list[tuple[int, int]]:
    """Return (epoch, index) of the clips to show."""
    if side == "train":
        sampler = data.train_dataloader().sampler
        assert isinstance(sampler, EpochSampler)
        sampler.set_epoch(epoch)
        return list(sampler)[:clips]
    count = len(data.datasets[side])
    return [(0, int(i)) for i in np.unique(np.linspace(0, count - 1, min(clips, count)).round())]


def _draw_clip(dataset: ClipDataset, key: tuple[int, int], region: Region, tile: int) -> Image:
    """Draw one row of the sheet."""
    sample, frames = dataset[key], dataset.clips[key[1]]
    size = sample["masks"].shape[-1]
    images = sample["images"].reshape(-1, 3, size, size).permute(0, 2, 3, 1).numpy()
    masks = sample["masks"].reshape(-1, size, size).numpy()  # (T, S, S)
    columns = []
    for t, (image, painted) in enumerate(zip(images, paint(images, masks, region), strict=True)):
        pictures = [_fit(painted, tile), _fit(image, tile)]
        is_padding = t >= len(frames)
        if is_padding:
            write(pictures[0], "padding", 6, tile - 8)
        if region != "face" and is_padding:
            pictures.append(np.full((tile, tile, 3), PAPER, dtype=np.uint8))
        elif region != "face":
            pictures.append(_draw_crop(frames[t], Box(*sample["boxes"].tolist()), region, tile))
        # a single frame's pictures side by side, the frames of a clip above one another
        columns.append(stack(pictures, axis=0 if len(images) > 1 else 1))
    row = stack(columns, axis=1)
    real = masks[: len(frames)]
    ignored, opened = float((real == IGNORE).mean()), float((real >= OPEN).mean())
    title = _title(dataset, key[1], sample["original_sizes"], size, ignored)
    if opened > ignored:
        title += f", one of several classes {100 * (opened - ignored):.1f} %"
    return stack([draw_text(title, row.shape[1]), row])


def _title(
    dataset: ClipDataset, index: int, sizes: list[tuple[int, int]], size: int, ignored: float
) -> str:
    names = [frame.image.stem for frame in dataset.clips[index]]
    span = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    measured = dict.fromkeys(f"{width}x{height}" for height, width in (sizes[0], sizes[-1]))
    what = "crop" if dataset.boxes is None else "box"
    return (
        f"clip {index}: {span}, {len(names)} frame{'s' if len(names) > 1 else ''}, "
        f"{what} {' to '.join(measured)}, net {size}x{size}, ignored {100 * ignored:.1f} %"
    )


def _draw_crop(frame: Frame, box: Box, region: Region, tile: int) -> Image:
    """Draw a face crop with the region's mask and the clip's box, which may leave it."""
    image, mask = read_frame(frame)
    height, width = mask.shape
    edges = box.in_pixels(height, width)
    # a canvas that holds picture and box
    low = np.floor(np.minimum((edges.left, edges.top), 0)).astype(int)
    high = np.ceil(np.maximum((edges.right, edges.bottom), (width, height))).astype(int)
    side = int((high - low).max())
    canvas = np.full((side, side, 3), _OUTSIDE, dtype=np.uint8)
    painted = paint(image[None], to_region_labels(mask, region)[None], region)[0]
    canvas[-low[1] : height - low[1], -low[0] : width - low[0]] = painted
    picture = _fit(canvas, tile)
    scale = tile / side
    corners = [
        (round((x - low[0]) * scale), round((y - low[1]) * scale))
        for x, y in ((edges.left, edges.top), (edges.right - 1, edges.bottom - 1))
    ]
    cv2.rectangle(picture, corners[0], corners[1], _YELLOW, max(1, tile // 150))
    return picture


def _fit(image: Image, tile: int) -> Image:
    return np.ascontiguousarray(resize_image(np.ascontiguousarray(image), tile, tile))
