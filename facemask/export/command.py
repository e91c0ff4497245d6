"""`facemask export`: networks as files that other runtimes read."""

from pathlib import Path

from facemask.errors import InputError
from facemask.export.folder import export_networks
from facemask.export.formats import Format, check_format
from facemask.export.graphs import WHOLE, GraphName
from facemask.files import sha256_of
from facemask.models.cascade.file import read_header
from facemask.origin import origins_of, terms_of
from facemask.terminal import console_for_words
from facemask.weights.catalog import find_weights, shipped
from facemask.weights.load import load_networks


def export(
    model: str,
    *,
    out: str,
    format: Format = "onnx",  # noqa: A002  # the option's name
    size: int | None = None,
    graphs: str = ",".join(WHOLE),
) -> None:
    """Write a model's networks as ONNX, OpenVINO or torch.export files, checked against torch.

    Args:
        model: Weights that come with facemask (default, open), a saved cascade (.safetensors),
            a checkpoint of faces, eyes or mouths, or a Hugging Face repository id (owner/name).
        out: Folder to write to, which must not be there yet. Short: -o.
        format: onnx, openvino or torch (.pt2 of torch.export).
        size: Side of the images that the graphs take, in pixels: they become a little faster.
            Default: any height and width, where the network allows it.
        graphs: Graphs to write of each network, separated by commas: clip (whole clips), window
            (each frame with its four predecessors, as `facemask extract` labels them), step (the
            next frame of a video). A network without memory has clip alone.

    Raises:
        InputError: The model, the folder or the size is wrong, a package is missing, or what came
            out does not give what torch gives.
    """
    wanted = _parse_graphs(graphs)
    check_format(format)  # before torch loads a model
    console = console_for_words(stderr=True)
    path = find_weights(model)
    networks, settings = load_networks(path)
    about: dict[str, object] = {"model": {"name": Path(model).name, "sha256": sha256_of(path)}}
    inherited = terms_of(origin for n in networks.values() for origin in origins_of(n))
    terms = shipped()[model].licence if model in shipped() else inherited
    if terms is not None:
        about["licence"] = terms
    if path.suffix == ".safetensors":
        about["card"] = read_header(path).card
    console.print(
        f"Writing {model}: each graph is traced and compared with torch, which takes a quarter of "
        "a minute to a minute" + (", less with --size." if size is None else ".")
    )
    export_networks(
        networks, settings, out, format, size=size, graphs=wanted, about=about, say=console.print
    )
    console.print(f"{out}: whole; facemask.json in it says how its files are used.")


def _parse_graphs(text: str) -> list[GraphName]:
    given = [name.strip() for name in text.split(",") if name.strip()]
    unknown = next((name for name in given if name not in WHOLE), None)
    if unknown is not None or not given:
        wrong = "nothing is named" if unknown is None else f"{unknown!r} is no graph"
        raise InputError(f"graphs is {text!r}, but {wrong}: give some of {','.join(WHOLE)}.")
    return [name for name in WHOLE if name in given]
