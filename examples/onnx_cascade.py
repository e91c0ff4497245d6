"""Face masks without PyTorch: an exported cascade, by NumPy, OpenCV and ONNX Runtime alone.

    facemask export default -o exported                    # where facemask is installed
    python onnx_cascade.py exported photo.jpg --box 150,30,300,180 -o painted.png
    python onnx_cascade.py exported video.mp4 --box 40,10,140,110 -o painted.mp4

`--box` is the face crop in pixels (left,top,right,bottom; see "face_crop" in facemask.json), the
same in all frames; without it the whole picture is one. Copy what you need: this file needs neither
facemask nor torch. Sizes, margins and all other numbers are read from facemask.json.
"""

import argparse
import hashlib
import itertools
import json
import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime

Array = np.ndarray[Any, Any]
CHUNK = 20  # frames that are labelled together


class Box(NamedTuple):
    """Edges, relative to the picture or in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Distance of the right edge from the left one."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Distance of the bottom edge from the top one."""
        return self.bottom - self.top

    def scaled(self, x: float, y: float) -> "Box":
        """Return the box in a picture that is x times as wide and y times as high."""
        return Box(self.left * x, self.top * y, self.right * x, self.bottom * y)

    def grown(self, across: float, down: float) -> "Box":
        """Return the box with its edges moved out."""
        return Box(self.left - across, self.top - down, self.right + across, self.bottom + down)


class Cascade:
    """The three networks and the rules that put their scores together."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Open the files of a folder, whose JSON has their SHA-256."""
        content = json.loads((folder / "facemask.json").read_text(encoding="utf-8"))
        if content["format_version"] != 1 or content["format"] != "onnx":
            raise SystemExit(f"{folder}: this program reads ONNX exports of format version 1.")
        self.rules: dict[str, Any] = content["cascade"]
        self.networks: dict[str, Any] = content["networks"]
        if self.rules["refine_each_eye"]:
            raise SystemExit(f"{folder}: boxes of single eyes (refine_each_eye) are not done here.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.sessions = {}
        for role, network in self.networks.items():
            # each frame from the four before it, where there is such a graph, as facemask does
            name = "window" if network["memory"] else "clip"
            if name not in network["graphs"]:
                raise SystemExit(f"{folder}: has no {name} of {role}: export it with --graphs.")
            graph = network["graphs"][name]
            data = (folder / graph["file"]).read_bytes()
            if hashlib.sha256(data).hexdigest() != graph["sha256"][graph["file"]]:
                raise SystemExit(f"{folder / graph['file']}: is not the file that was exported.")
            self.sessions[role] = onnxruntime.InferenceSession(data, options)

    def label(self, frames: Sequence[Array]) -> list[Array]:
        """Label a clip of face crops.

        Args:
            frames: Consecutive ones, uint8 (H, W, 3) RGB, all of one size.

        Returns:
            Class ids of each, uint8 (H, W).
        """
        height, width = frames[0].shape[:2]
        planes = [frame.transpose(2, 0, 1).astype(np.float32) for frame in frames]
        scores = self._scores("primary", [self._whole(p) for p in planes])
        face, boxes = find_boxes(
            scores.argmax(axis=1), (height, width), self.networks.keys(), self.rules
        )
        zooms: dict[str, tuple[Box, Array]] = {}
        for role, box in boxes.items():
            pixels = box.scaled(width, height)
            found = self._scores(role, [self._picture(p, pixels) for p in planes])
            zooms[role] = (pixels, np.stack([fill_holes(of_frame) for of_frame in found]))
        return [
            stitch(
                scores[t],
                (height, width),
                face,
                {role: (box, found[t]) for role, (box, found) in zooms.items()},
                {role: network["classes"] for role, network in self.networks.items()},
                self.rules,
            )
            for t in range(len(frames))
        ]

    def _whole(self, planes: Array) -> Array:
        """Resize a crop as in training: across, and then down, with a rounding after each."""
        size, (_, height, width) = self.rules["size"], planes.shape
        across = np.floor(resample(planes, Box(0, 0, width, height), (height, size)) + 0.5)
        values = np.floor(resample(across, Box(0, 0, size, height), (size, size)) + 0.5)
        return as_picture(values)

    def _picture(self, planes: Array, box: Box) -> Array:
        size = self.rules["size"]
        return as_picture(np.rint(resample(planes, box, (size, size))))

    def _scores(self, role: str, pictures: list[Array]) -> Array:
        """Score a clip: (T, C, S, S)."""
        (scores,) = self.sessions[role].run(["scores"], {"images": np.stack(pictures)[None]})
        clip: Array = scores[0]
        return clip


def as_picture(planes: Array) -> Array:
    """Return planes (3, H, W) of whole numbers as a picture, uint8 (H, W, 3)."""
    picture: Array = planes.clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    return picture


def resample(planes: Array, box: Box, size: tuple[int, int], antialias: bool = True) -> Array:
    """Cut a box in pixels out of planes (C, H, W) and resize it; 0 outside of the picture."""
    down = sampling_matrix(planes.shape[1], size[0], box.top, box.bottom, antialias)
    across = sampling_matrix(planes.shape[2], size[1], box.left, box.right, antialias)
    resized: Array = down @ planes @ across.T
    return resized


def sampling_matrix(length: int, count: int, start: float, stop: float, antialias: bool) -> Array:
    """Return weights (count, length): a triangle around each new pixel's centre, cut at edges."""
    radius = max(1.0, (stop - start) / count) if antialias else 1.0
    centres = (start + (np.arange(count) + 0.5) * ((stop - start) / count))[:, None]
    weights = np.maximum(1 - np.abs(np.arange(length) + 0.5 - centres) / radius, 0)
    weights *= (centres >= 0) & (centres < length)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    return weights.astype(np.float32)


def softmax(scores: Array) -> Array:
    """Return probabilities over the first axis."""
    powers = np.exp(scores - scores.max(axis=0))
    result: Array = powers / powers.sum(axis=0)
    return result


def fill_holes(scores: Array) -> Array:
    """Give background that eyes or lips enclose to the best other class, (C, S, S)."""
    background = np.pad(scores.argmax(axis=0) == 0, 1, constant_values=True).astype(np.uint8)
    _, ids = cv2.connectedComponents(background, connectivity=4)
    holes = ((ids != ids[0, 0]) & (background > 0))[1:-1, 1:-1]
    rows, columns = holes.nonzero()
    if len(rows):
        here = scores[:, rows, columns]
        best = 1 + here[1:].argmax(axis=0)
        n = np.arange(len(rows))
        here[0], here[best, n] = here[best, n].copy(), here[0].copy()
        scores = scores.copy()
        scores[:, rows, columns] = here
    return scores


def stitch(
    scores: Array,
    size: tuple[int, int],
    face: Box | None,
    zooms: dict[str, tuple[Box, Array]],
    classes: dict[str, list[int]],
    rules: dict[str, Any],
) -> Array:
    """Put one frame's mask together at its own size, uint8 (H, W)."""
    height, width = size
    small = Box(0, 0, scores.shape[2], scores.shape[1])
    scores = resample(scores, small, size, antialias=False)
    primary: Array = scores.argmax(axis=0)
    if face is None or not zooms:
        return primary.astype(np.uint8)
    face = face.scaled(width, height)
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    in_face = (x >= face.left) & (x < face.right) & (y >= face.top) & (y < face.bottom)
    weight, temperature = rules["primary_weight"], rules["temperature"]
    of_primary = softmax(scores / temperature)
    own, claimed, labels, surest = {}, {}, {}, {}
    for role in ("eyes", "mouth"):
        ids = classes.get(role, [0, 2] if role == "eyes" else [0, 3, 4])
        own[role] = np.isin(primary, ids[1:])
        if role not in zooms:  # the primary decides
            claimed[role], labels[role] = own[role], primary
            continue
        box, found = zooms[role]
        rows, columns, decided = paste(found, box, size)
        new = softmax(decided / temperature)
        if weight:
            known = of_primary[ids[1:], rows, columns]
            known = np.concatenate([1 - known.sum(axis=0, keepdims=True), known])
            least = rules["least_probability"]
            decided = new = softmax(
                (1 - weight) * np.log(new + least) + weight * np.log(known + least)
            )
        sees = in_face[rows, columns] & (new[0] < 1)
        of_region = np.where(sees, decided.argmax(axis=0), 0)
        probability = np.zeros(size, dtype=np.float32)
        # eyes: of the eyes; mouth: of the likelier part of it
        probability[rows, columns] = np.where(sees, new[1:].max(axis=0), 0)
        labels[role] = np.zeros(size, dtype=np.int64)
        labels[role][rows, columns] = np.array(ids)[of_region]
        claimed[role], surest[role] = labels[role] > 0, probability
    # what a pixel is that is neither eye nor mouth
    plain = ((scores[1] > scores[0]) | in_face).astype(np.int64)
    mouth_wins = own["mouth"]
    if len(surest) == 2:
        mouth_wins = mouth_wins | ((surest["mouth"] > surest["eyes"]) & ~own["eyes"])
    result: Array = np.where(own["eyes"] | own["mouth"], plain, primary)
    result = np.where(claimed["eyes"] & ~(claimed["mouth"] & mouth_wins), labels["eyes"], result)
    result = np.where(claimed["mouth"] & (mouth_wins | ~claimed["eyes"]), labels["mouth"], result)
    return result.astype(np.uint8)


def paste(maps: Array, box: Box, size: tuple[int, int]) -> tuple[slice, slice, Array]:
    """Bring maps (C, S, S) of a box back to the picture: rows, columns and the maps there."""
    edges = [min(max(math.ceil(edge - 0.5), 0), size[1]) for edge in (box.left, box.right)]
    columns = slice(edges[0], max(edges))
    edges = [min(max(math.ceil(edge - 0.5), 0), size[0]) for edge in (box.top, box.bottom)]
    rows = slice(edges[0], max(edges))
    x, y = maps.shape[2] / box.width, maps.shape[1] / box.height
    source = Box(
        (columns.start - box.left) * x,
        (rows.start - box.top) * y,
        (columns.stop - box.left) * x,
        (rows.stop - box.top) * y,
    )
    return (
        rows,
        columns,
        resample(maps, source, (rows.stop - rows.start, columns.stop - columns.start)),
    )


def find_boxes(
    labels: Array, size: tuple[int, int], roles: Collection[str], rules: dict[str, Any]
) -> tuple[Box | None, dict[str, Box]]:
    """Find the face, and the boxes of eyes and mouth, in the primary's labels (T, S, S)."""
    numbers = rules["boxes"]
    extents = [part for frame in labels for _, part in parts(frame != 0, 0, 1)]
    if not extents:
        return None, {}
    mask = enclosing(extents)
    face = mask.grown(numbers["face_room"] * mask.width, numbers["face_room"] * mask.height)
    boxes = {}
    for role, ids, search in (("eyes", [2], eyes_of), ("mouth", [3, 4], mouth_of)):
        if role not in roles:
            continue
        found = steady(
            [search(np.isin(f, ids), face, size, numbers) for f in labels], face, numbers
        )
        of_frames = [enclosing(frame) for frame in found if frame]
        if rules["guess_boxes"]:
            of_frames = completed(role, of_frames, mask, numbers)
        if of_frames:
            boxes[role] = square(of_frames, size, rules[f"{role}_margin"])
    return face, boxes


def parts(mask: Array, reach: int, most: int) -> list[tuple[float, Box]]:
    """Return area and box of the largest connected parts, both relative, largest first."""
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
    count, ids = cv2.connectedComponents(cv2.dilate(mask.astype(np.uint8), kernel), connectivity=8)
    ids[~mask] = 0
    areas = np.bincount(ids.ravel(), minlength=count)[1:]
    height, width = mask.shape
    found = []
    for i in np.argsort(-areas, kind="stable")[:most]:
        rows, columns = (ids == i + 1).nonzero()
        edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        found.append((areas[i] / mask.size, Box(*map(float, edges)).scaled(1 / width, 1 / height)))
    return found


def parts_in_face(
    mask: Array, face: Box, role: str, numbers: dict[str, Any]
) -> list[tuple[float, Box]]:
    """Return the plausible parts of a region inside the face's box."""
    height, width = mask.shape
    left, right = np.rint(np.clip([face.left * width, face.right * width], 0, width)).astype(int)
    top, bottom = np.rint(np.clip([face.top * height, face.bottom * height], 0, height)).astype(int)
    inside = np.zeros_like(mask)
    inside[top:bottom, left:right] = mask[top:bottom, left:right]
    reach = round(numbers["reach"] * face.width * width)
    found = parts(inside, reach, numbers["most_parts"])
    if not found or found[0][0] < numbers["least_area"] * face.width * face.height:
        return []
    widest, highest = numbers["largest"][role]
    return [
        (area, box)
        for area, box in found
        if box.width <= widest * face.width and box.height <= highest * face.height
    ]


def eyes_of(mask: Array, face: Box, size: tuple[int, int], numbers: dict[str, Any]) -> list[Box]:
    """Return one or two eyes of a frame."""
    found = parts_in_face(mask, face, "eyes", numbers)
    for area, box in found[1:]:
        first = found[0][1]
        across = (box.left + box.right - first.left - first.right) / 2
        down = (box.top + box.bottom - first.top - first.bottom) / 2
        beside = abs(down) * size[0] <= abs(across) * size[1]
        near = abs(across) <= numbers["eyes_apart"] * face.width
        if area >= numbers["second_eye_area"] * found[0][0] and beside and near:
            return [first, box]
    return [box for _, box in found[:1]]


def mouth_of(mask: Array, face: Box, _: tuple[int, int], numbers: dict[str, Any]) -> list[Box]:
    """Return the largest part of a frame's mouth with those beside it, as one box."""
    found = parts_in_face(mask, face, "mouth", numbers)
    if not found:
        return []
    area, first = found[0]
    return [
        enclosing(
            [
                box
                for of_part, box in found
                if of_part >= numbers["mouth_part_area"] * area
                and gap(box, first) <= numbers["mouth_gap"] * face.width
            ]
        )
    ]


def steady(frames: list[list[Box]], face: Box, numbers: dict[str, Any]) -> list[list[Box]]:
    """Leave out boxes that no other frame has about there, where three frames or more say so."""
    if sum(map(bool, frames)) < 3:
        return frames
    room = numbers["motion"] * face.width
    kept = []
    for t, boxes in enumerate(frames):
        others = [
            box.grown(room, room) for frame in (*frames[:t], *frames[t + 1 :]) for box in frame
        ]
        kept.append([box for box in boxes if any(enclosing([box, o]) == o for o in others)])
    return kept if any(kept) else frames


def completed(role: str, found: list[Box], face: Box, numbers: dict[str, Any]) -> list[Box]:
    """Return where a region must be if all that was found of it is nothing, or a part."""
    if any(box.width >= numbers["narrowest"][role] * face.width for box in found):
        return found
    usual = Box(*numbers["usual"][role])
    left = face.left + usual.left * face.width
    right = face.left + usual.right * face.width
    tall = usual.height * face.height
    middle = face.top + (usual.top + usual.bottom) / 2 * face.height
    if not found:
        return [Box(left, middle - tall / 2, right, middle + tall / 2)]
    wholes = []
    for box in found:
        down = (box.top + box.bottom) / 2
        shift = (box.left + box.right - left - right) / 2 if role == "mouth" else 0.0
        whole = Box(left + shift, down - tall / 2, right + shift, down + tall / 2)
        wholes.append(enclosing([box, whole]))
    return wholes


def square(extents: list[Box], size: tuple[int, int], margin: float) -> Box:
    """Return one square box, in pixels, around what all frames show; relative."""
    height, width = size
    whole = enclosing(extents).scaled(width, height)
    side = max(margin * max(box.width for box in extents) * width, whole.width, whole.height)
    x, y = (whole.left + whole.right) / 2, (whole.top + whole.bottom) / 2
    box = Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return box.scaled(1 / width, 1 / height)


def enclosing(boxes: list[Box]) -> Box:
    """Return the smallest box around all boxes."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return Box(min(left), min(top), max(right), max(bottom))


def gap(one: Box, other: Box) -> float:
    """Return the gap of two boxes along the axis of the larger one."""
    across = max(one.left, other.left) - min(one.right, other.right)
    return max(across, max(one.top, other.top) - min(one.bottom, other.bottom))


def label_frames(
    cascade: Cascade, frames: Iterator[Array], box: Box | None
) -> Iterator[tuple[Array, Array]]:
    """Yield each BGR frame and its class ids, chunk by chunk with the four frames before."""
    before: list[Array] = []
    while chunk := list(itertools.islice(frames, CHUNK)):
        height, width = chunk[0].shape[:2]
        left, top, right, bottom = map(round, box or (0, 0, width, height))
        rows = slice(max(top, 0), min(bottom, height))
        columns = slice(max(left, 0), min(right, width))
        crops = [cv2.cvtColor(frame[rows, columns], cv2.COLOR_BGR2RGB) for frame in chunk]
        found = cascade.label([*before, *crops])[len(before) :]
        before = [*before, *crops][-4:]
        for frame, labels in zip(chunk, found, strict=True):
            ids = np.zeros((height, width), dtype=np.uint8)
            ids[rows, columns] = labels
            yield frame, ids


def read_frames(path: Path) -> tuple[Iterator[Array], float]:
    """Return the frames of a video, or a picture as one, uint8 (H, W, 3) BGR, and frames/s."""
    picture = cv2.imread(str(path))
    if picture is not None:
        return iter([picture]), 1
    video = cv2.VideoCapture(str(path))
    there, first = video.read()
    if not there:
        raise SystemExit(f"{path}: is no picture and no video that OpenCV reads.")

    def others() -> Iterator[Array]:
        while (read := video.read())[0]:
            yield read[1]

    return itertools.chain([first], others()), video.get(cv2.CAP_PROP_FPS) or 25


def read_box(text: str) -> Box:
    """Read left,top,right,bottom.

    Raises:
        ArgumentTypeError: They are not four numbers, or enclose nothing.
    """
    try:
        left, top, right, bottom = map(float, text.split(","))
    except ValueError:
        wrong = f"is {text!r}, expected 4 numbers: left,top,right,bottom"
        raise argparse.ArgumentTypeError(wrong) from None
    if not (left < right and top < bottom):
        raise argparse.ArgumentTypeError(f"is {text!r}: left < right and top < bottom are expected")
    return Box(left, top, right, bottom)


def main() -> None:
    """Paint the masks of a picture or a video."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="what `facemask export` wrote")
    parser.add_argument("source", type=Path, help="a picture or a video")
    where = "the face crop in pixels, for all frames: left,top,right,bottom, as in extract's CSV"
    parser.add_argument("--box", type=read_box, help=where)
    parser.add_argument("-o", "--out", type=Path, required=True, help="a picture or an .mp4")
    parser.add_argument("--ids", action="store_true", help="write class ids instead of colours")
    options = parser.parse_args()
    if not (options.folder / "facemask.json").is_file():
        raise SystemExit(f"{options.folder}: has no facemask.json: `facemask export` writes it.")
    frames, fps = read_frames(options.source)
    palette = json.loads((options.folder / "facemask.json").read_text(encoding="utf-8"))["palette"]
    colors = np.array(list(palette.values()), dtype=np.uint8)[:, ::-1]  # BGR
    writer = None
    for frame, ids in label_frames(Cascade(options.folder), frames, options.box):
        painted = np.where(ids[..., None] > 0, frame // 2 + colors[ids] // 2, frame)
        if options.out.suffix != ".mp4":
            cv2.imwrite(str(options.out), ids if options.ids else painted)
            continue
        if writer is None:
            size = (frame.shape[1], frame.shape[0])
            writer = cv2.VideoWriter(str(options.out), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
        writer.write(painted)
    if writer is not None:
        writer.release()


if __name__ == "__main__":
    main()
