"""`facemask annotations`: masks to an annotation tool and back."""

import re
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from facemask.annotations.formats import Format, Shape, read, write
from facemask.data.vw300_mask import IMAGES, LABELS, read_label
from facemask.errors import InputError
from facemask.files import make_folder, say_replaced, write_atomic
from facemask.naming import counted
from facemask.suffixes import is_hidden, is_image
from facemask.video.results import label_png

_ENDING: Final = ".labels"
_HASH: Final = r"[0-9a-f]{8}-"  # Label Studio puts it before the name of a picture dropped on it


def annotations(
    action: Literal["export", "import"],
    tool: Format,
    source: str,
    *,
    out: str,
    shape: Shape = "rle",
    pictures: str | None = None,
) -> None:
    """Write masks for COCO, CVAT or Label Studio to correct by hand, and read them back.

    Args:
        action: export writes a tool's file from label PNGs; import writes label PNGs from it.
        tool: coco, cvat (CVAT for images) or labelstudio.
        source: Of an export a folder of label PNGs or a data set in 300VW-Mask layout; of an
            import the tool's file.
        out: Of an export the file to write; of an import the folder to write label PNGs to.
        shape: Of an export rle (masks) or polygon (outlines along the borders of pixels); an import
            reads both.
        pictures: Of an import the folder or data set whose pictures were annotated: names in the
            file must be theirs, and what Label Studio put before them is taken off.
    """
    path = Path(source)
    if action == "export":
        files = _names(path)
        labels = {name: read_label(file) for name, file in files.items()}
        make_folder(Path(out).parent)
        replaced = say_replaced(Path(out))
        write_atomic(Path(out), write(labels, tool, shape))
        print(f"masks of {counted(len(labels), 'picture')} are in {out}{replaced}")
        return
    if not path.is_file():
        raise InputError(f"{source} is no file: give the file that the tool exported.")
    found = read(path.read_bytes(), tool)
    names = {name: PurePosixPath(name.replace("\\", "/")).name for name in found}
    if pictures is not None:
        known = _pictures(Path(pictures))
        names = {name: _picture(last, known, pictures) for name, last in names.items()}
    targets = {name: f"{Path(last).stem}.png" for name, last in names.items()}
    if len(set(targets.values())) < len(targets):
        raise InputError(f"two pictures of {source} would get the same label PNG: rename one.")
    make_folder(Path(out))
    before = sum((Path(out) / target).exists() for target in targets.values())
    for name, label in found.items():
        write_atomic(Path(out) / targets[name], label_png(label))
    replaced = f", {before} of them in place of files that were there" if before else ""
    print(f"{len(found)} label PNGs are in {out}{replaced}")
    if pictures is None and all(re.match(_HASH, last) for last in names.values()):
        print("Their names begin as Label Studio has them: --pictures FOLDER gives the pictures'.")


def _pictures(folder: Path) -> list[str]:
    """Return the names of the pictures of a folder or data set, and what stands for them there."""
    home = folder / IMAGES if (folder / IMAGES).is_dir() else folder
    if not home.is_dir():
        raise InputError(f"{folder} is no folder: give one of the pictures that were annotated.")
    files = [p for p in home.iterdir() if is_image(p) and not is_hidden(p)]
    return sorted({f"{p.stem.removesuffix(_ENDING)}{p.suffix}" for p in files})


def _picture(name: str, known: list[str], folder: str) -> str:
    """Return the one known picture of a name, which may have been changed by Label Studio."""
    rest = re.sub(f"^{_HASH}", "", name)
    kept = {k: re.sub(r"[^-\w.]", "", k.strip().replace(" ", "_")) for k in known}  # by Django
    found = [k for k in known if k == name or (rest != name and kept[k] == rest)]
    if not found:
        raise InputError(
            f"{folder} has no picture {name}: leave it out, or give another --pictures."
        )
    if len(found) > 1:
        raise InputError(f"{name} may be {' or '.join(found)} of {folder}: rename one of them.")
    return found[0]


def _names(folder: Path) -> dict[str, Path]:
    """Return the label PNGs of a folder by the names of their pictures.

    Where there are files such as a.labels.png, as `facemask extract` writes them for photos, only
    those are labels. A label without a picture beside it goes by its own name, without `.labels`.
    """
    home = folder / LABELS if (folder / LABELS).is_dir() else folder
    pngs = sorted(p for p in home.glob("*.png") if not is_hidden(p)) if home.is_dir() else []
    labels = [p for p in pngs if p.stem.endswith(_ENDING)] or pngs
    if not labels:
        raise InputError(f"{folder} has no label PNGs: give a folder of them or a data set.")
    images = folder / IMAGES if (folder / IMAGES).is_dir() else home
    files = sorted(set(images.iterdir()) - set(labels))
    pictures = {p.stem: p.name for p in files if is_image(p)}
    stems = {label: label.stem.removesuffix(_ENDING) for label in labels}
    return {pictures.get(stem, f"{stem}.png"): label for label, stem in stems.items()}
