"""`facemask annotations`: masks to an annotation tool and back."""

from pathlib import Path, PurePosixPath
from typing import Final, Literal

from facemask.annotations.formats import Format, read, write
from facemask.data.vw300_mask import IMAGES, LABELS, read_label
from facemask.errors import InputError
from facemask.files import make_folder, write_atomic, write_image
from facemask.suffixes import is_hidden, is_image

_ENDING: Final = ".labels"


def annotations(
    action: Literal["export", "import"], tool: Format, source: str, *, out: str
) -> None:
    """Write masks for COCO, CVAT or Label Studio to correct by hand, and read them back.

    Args:
        action: export writes a tool's file from label PNGs; import writes label PNGs from it.
        tool: coco, cvat (CVAT for images) or labelstudio.
        source: Of an export a folder of label PNGs or a data set in 300VW-Mask layout; of an
            import the tool's file.
        out: Of an export the file to write; of an import the folder to write label PNGs to.
    """
    path = Path(source)
    if action == "export":
        names = _names(path)
        labels = {name: read_label(label) for name, label in names.items()}
        make_folder(Path(out).parent)
        write_atomic(Path(out), write(labels, tool))
        print(f"{len(labels)} pictures' masks are in {out}")
        return
    if not path.is_file():
        raise InputError(f"{source} is no file: give the file that the tool exported.")
    found = read(path.read_bytes(), tool)
    targets = {name: f"{PurePosixPath(name.replace(chr(92), '/')).stem}.png" for name in found}
    if len(set(targets.values())) < len(targets):
        raise InputError(f"two pictures of {source} would get the same label PNG: rename one.")
    make_folder(Path(out))
    for name, label in found.items():
        write_image(Path(out) / targets[name], label)
    print(f"{len(found)} label PNGs are in {out}")


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
