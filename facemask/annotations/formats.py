"""Files of annotation tools: COCO and Label Studio (JSON), CVAT for images (XML)."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from facemask.annotations.polygons import from_polygons, to_polygons
from facemask.annotations.rle import from_brush, from_coco, from_runs, to_brush, to_coco, to_runs
from facemask.classes import BACKGROUND, CLASS_NAMES, CLASS_SETS, IGNORE
from facemask.errors import InputError

Format = Literal["coco", "cvat", "labelstudio"]
Shape = Literal["rle", "polygon"]
Labels = dict[str, npt.NDArray[np.uint8]]
"""Label images, uint8 (height, width), by the names of their pictures."""

_NAMES: Final[dict[int, str]] = dict(enumerate(CLASS_NAMES)) | {
    label: f"label_{label}" for label in (*sorted(CLASS_SETS), IGNORE)
}
_IDS: Final[dict[str, int]] = {name: label for label, name in _NAMES.items()}


def write(labels: Labels, kind: Format, shape: Shape = "rle") -> bytes:
    """Return the file of a tool: each class of each picture as one binary mask or as polygons."""
    writers = {"coco": _to_coco, "cvat": _to_cvat, "labelstudio": _to_label_studio}
    return writers[kind](labels, shape)


def read(data: bytes, kind: Format) -> Labels:
    """Return the label images of a tool's file; where two shapes overlap, the later one is on top.

    Raises:
        InputError: It is not of that format, or has boxes, other names or other sizes.
    """
    try:
        return {"coco": _from_coco, "cvat": _from_cvat, "labelstudio": _from_label_studio}[kind](
            data
        )
    except InputError:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        ElementTree.ParseError,
    ) as e:
        raise InputError(
            f"the file cannot be read as {kind} ({type(e).__name__}: {e}): give one that the tool "
            "exported in that format."
        ) from e


def _parts(label: npt.NDArray[np.uint8]) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    for value in np.unique(label):
        if value != BACKGROUND:
            yield int(value), label == value


def _used(values: Iterable[int]) -> list[int]:
    """Return the labels of all classes and of what else there is, but for the background."""
    return sorted({*range(len(CLASS_NAMES)), *map(int, values)} - {BACKGROUND})


def _id(name: str) -> int:
    if name not in _IDS:
        raise InputError(
            f"a mask is called {name!r}, expected {', '.join(CLASS_NAMES)}: rename it."
        )
    return _IDS[name]


def _no_mask(kind: str) -> InputError:
    return InputError(
        f"an annotation is {kind}, expected masks and polygons: turn it into a mask in the tool."
    )


def _to_coco(labels: Labels, shape: Shape) -> bytes:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, label) in enumerate(labels.items(), start=1):
        height, width = label.shape
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for value, mask in _parts(label):
            rows, columns = np.nonzero(mask)
            left, top = int(columns.min()), int(rows.min())
            box = [left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1]
            segmentation: object = (
                {"size": [height, width], "counts": to_coco(mask)}
                if shape == "rle"
                else [part.ravel().tolist() for part in to_polygons(mask)]
            )
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": value,
                "iscrowd": int(shape == "rle"), "area": len(rows), "bbox": box,
                "segmentation": segmentation,
            })  # fmt: skip
    used = _used(annotation["category_id"] for annotation in annotations)
    categories = [{"id": value, "name": _NAMES[value]} for value in used]
    return _json({"images": images, "annotations": annotations, "categories": categories})


def _from_coco(data: bytes) -> Labels:
    file = json.loads(data)
    names = {category["id"]: category["name"] for category in file["categories"]}
    images = {image["id"]: image for image in file["images"]}
    labels = {i: np.zeros((m["height"], m["width"]), np.uint8) for i, m in images.items()}
    for annotation in file["annotations"]:
        label, shape = labels[annotation["image_id"]], annotation.get("segmentation")
        if not shape:
            raise _no_mask("a box alone")
        if isinstance(shape, dict):
            if shape["size"] != list(label.shape):
                raise InputError(
                    f"a mask has the size {shape['size']}, expected {list(label.shape)} as its "
                    "picture (height, width): export the annotations again."
                )
            mask = from_coco(shape["counts"], *label.shape)
        else:
            parts = [np.reshape(part, (-1, 2)) for part in shape]
            mask = from_polygons(parts, *label.shape)
        label[mask] = _id(names[annotation["category_id"]])
    return _by_name((images[i]["file_name"], label) for i, label in labels.items())


def _to_cvat(labels: Labels, shape: Shape) -> bytes:
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    # CVAT itself does not need the names; other readers, such as Datumaro, do
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    names = ElementTree.SubElement(task, "labels")
    for value in _used(np.concatenate([np.unique(label) for label in labels.values()])):
        entry = ElementTree.SubElement(names, "label")
        ElementTree.SubElement(entry, "name").text = _NAMES[value]
    for number, (name, label) in enumerate(labels.items()):
        height, width = label.shape
        size = {"width": str(width), "height": str(height)}
        image = ElementTree.SubElement(root, "image", {"id": str(number), "name": name, **size})
        for value, mask in _parts(label):
            common = {"label": _NAMES[value], "source": "file", "occluded": "0", "z_order": "0"}
            if shape == "polygon":
                for part in to_polygons(mask):
                    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in part)
                    ElementTree.SubElement(image, "polygon", {**common, "points": points})
                continue
            rows, columns = np.nonzero(mask)
            top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
            runs = to_runs(mask[top:bottom, left:right].ravel())
            ElementTree.SubElement(image, "mask", {
                **common, "rle": ", ".join(map(str, runs)), "left": str(left), "top": str(top),
                "width": str(right - left), "height": str(bottom - top),
            })  # fmt: skip
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _from_cvat(data: bytes) -> Labels:
    root = ElementTree.fromstring(data)
    if root.tag != "annotations":
        raise ValueError(f"<{root.tag}>, not <annotations>")
    return _by_name((image.attrib["name"], _cvat_label(image)) for image in root.iter("image"))


def _cvat_label(image: ElementTree.Element) -> npt.NDArray[np.uint8]:
    label = np.zeros((int(image.attrib["height"]), int(image.attrib["width"])), np.uint8)
    for shape in sorted(image, key=lambda s: int(s.get("z_order", 0))):
        if shape.tag in ("polyline", "box", "ellipse", "points"):
            raise _no_mask(f"a {shape.tag}" if shape.tag != "points" else shape.tag)
        if shape.tag == "polygon":
            points = [[float(n) for n in p.split(",")] for p in shape.attrib["points"].split(";")]
            label[from_polygons([points], *label.shape)] = _id(shape.attrib["label"])
        if shape.tag != "mask":
            continue
        left, top, width, height = (
            int(shape.attrib[k]) for k in ("left", "top", "width", "height")
        )
        if min(left, top) < 0 or left + width > label.shape[1] or top + height > label.shape[0]:
            raise InputError(f"a mask of {image.attrib['name']} leaves the picture: correct it.")
        runs = [int(n) for n in shape.attrib["rle"].split(",")]
        mask = from_runs(runs, width * height).reshape(height, width)
        label[top : top + height, left : left + width][mask] = _id(shape.attrib["label"])
    return label


def _to_label_studio(labels: Labels, shape: Shape) -> bytes:
    control, kind = ("tag", "brushlabels") if shape == "rle" else ("polygon", "polygonlabels")
    tasks = []
    for name, label in labels.items():
        height, width = label.shape
        result = [
            {
                "from_name": control, "to_name": "image", "type": kind,
                "original_width": width, "original_height": height, "image_rotation": 0,
                "value": {**region, kind: [_NAMES[value]]},
            }
            for value, mask in _parts(label) for region in _regions(mask, shape)
        ]  # fmt: skip
        data = {"image": name, "width": width, "height": height}
        tasks.append({"data": data, "annotations": [{"result": result}]})
    return _json(tasks)


def _regions(mask: npt.NDArray[np.bool_], shape: Shape) -> list[dict[str, object]]:
    if shape == "rle":
        return [{"format": "rle", "rle": to_brush(mask)}]
    size = mask.shape[::-1]
    return [{"closed": True, "points": (100 * p / size).tolist()} for p in to_polygons(mask)]


def _from_label_studio(data: bytes) -> Labels:
    tasks = json.loads(data)
    if not isinstance(tasks, list):
        raise TypeError("no list of tasks")
    return _by_name((task["data"]["image"], _task_label(task)) for task in tasks)


def _task_label(task: dict[str, Any]) -> npt.NDArray[np.uint8]:
    shapes = task["annotations"][-1]["result"]  # the latest annotation of several
    size = task["data"]
    if "height" not in size:
        if not shapes:
            raise InputError(f"{size['image']} has no masks and no size: label or remove it.")
        size = {k: shapes[0][f"original_{k}"] for k in ("height", "width")}
    label = np.zeros((size["height"], size["width"]), np.uint8)
    for shape in shapes:
        kind, value = shape["type"], shape["value"]
        if kind == "brushlabels":
            mask = from_brush(value["rle"], *label.shape)
        elif kind == "polygonlabels":
            points = np.array(value["points"]) / 100 * label.shape[::-1]  # from per cent
            mask = from_polygons([points], *label.shape)
        else:
            raise _no_mask(kind)
        label[mask] = _id(value[kind][0])
    return label


def _by_name(pairs: Iterable[tuple[str, npt.NDArray[np.uint8]]]) -> Labels:
    labels: Labels = {}
    for name, label in pairs:
        if name in labels:
            raise InputError(f"{name} is there twice: leave one of them.")
        labels[name] = label
    return labels


def _json(content: object) -> bytes:
    return json.dumps(content).encode()
