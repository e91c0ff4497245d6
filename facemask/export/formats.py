"""Writing graphs as ONNX, OpenVINO or torch.export files, and running them."""

import ast
import functools
import importlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import torch

from facemask._distribution import pip_install
from facemask.errors import InputError
from facemask.export.graphs import Graph, dynamic_shapes
from facemask.models.runtime_network import Run

Format: TypeAlias = Literal["onnx", "openvino", "torch"]
Arrays: TypeAlias = Sequence[npt.NDArray[Any]]

SUFFIXES: Final[dict[Format, tuple[str, ...]]] = {
    "onnx": (".onnx",),
    "openvino": (".xml", ".bin"),
    "torch": (".pt2",),
}
"""Endings of the files of a graph; the first is the one to open."""
_PACKAGES: Final[dict[Format, tuple[str, ...]]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "openvino"),
    "torch": (),
}
_NO_TORCHVISION: Final = "torchvision is not installed"
"""Line of torch on each operator of torchvision, none of which our networks have."""
_FOR_LOOPS: Final = (2, 13)  # the release of torch whose exported loops were checked


def check_format(kind: str) -> Format:
    """Return a format by its name, if what it takes is installed.

    Raises:
        InputError: It is unknown, a package is missing, or torch is too old.
    """
    if kind not in get_args(Format):
        raise InputError(f"format is {kind!r}: give one of {', '.join(get_args(Format))}.")
    known: Format = kind  # type: ignore[assignment]  # just checked
    version = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
    if version < _FOR_LOOPS:
        raise InputError(
            f"torch {torch.__version__} cannot export a network's loop over time: install torch "
            f"{'.'.join(map(str, _FOR_LOOPS))} or newer."
        )
    for package in _PACKAGES[known]:
        needed(package)
    return known


def needed(package: str, extra: str = "export") -> Any:  # noqa: ANN401  # a module
    """Import a package of an extra.

    Raises:
        InputError: It is not installed, or does not work here.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"{package} is not installed, or does not work here ({error}): {pip_install(extra)}."
        ) from error


@functools.cache
def openvino_core() -> Any:  # noqa: ANN401
    """Return the one `openvino.Core` of this process, which lives as long as the process.

    Its CPU plugin gives the thread that loads it another stack for signals, and takes that away
    when it ends. When several of them end, or one does in another thread, a thread may be left with
    a stack that is gone (OpenVINO 2026.4.1), and the next signal that Python handles is its end.

    Raises:
        InputError: OpenVINO is not installed, or does not work here.
    """
    return needed("openvino").Core()


def write_graph(graph: Graph, folder: Path, name: str, kind: Format) -> list[Path]:
    """Write a graph's files.

    Args:
        graph: The graph.
        folder: Where they go.
        name: Their name without its ending.
        kind: The format.

    Returns:
        The files; the first is the one to open.
    """
    paths = [folder / f"{name}{suffix}" for suffix in SUFFIXES[kind]]
    program = _traced(graph)
    if kind == "torch":
        torch.export.save(program, paths[0])
        return paths
    model = _to_onnx(program, graph)
    if kind == "onnx":
        needed("onnx").save(model, paths[0])
    else:
        openvino = needed("openvino")
        import io

        converted = openvino.convert_model(io.BytesIO(model.SerializeToString()))
        # half-precision weights would round the scores
        openvino.save_model(converted, paths[0], compress_to_fp16=False)
    return paths


def _traced(graph: Graph) -> torch.export.ExportedProgram:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch to itself
        program = torch.export.export(
            graph.module, graph.example, dynamic_shapes=dynamic_shapes(graph)
        )
    for node in program.graph.nodes:  # paths of this machine
        node.meta.pop("stack_trace", None)
    return program


def _to_onnx(program: torch.export.ExportedProgram, graph: Graph) -> Any:  # noqa: ANN401
    """Return an ONNX model with our names of inputs, outputs and axes, in one piece."""
    with torch.no_grad(), warnings.catch_warnings(), _not_told(_NO_TORCHVISION):
        warnings.simplefilter("ignore")
        exported = torch.onnx.export(
            program, dynamo=True, input_names=list(graph.inputs),
            output_names=list(graph.outputs), external_data=False, verbose=False,
        )  # fmt: skip
    assert exported is not None
    model = exported.model_proto
    for values, axes_of in ((model.graph.input, graph.inputs), (model.graph.output, graph.outputs)):
        for value, (name, axes) in zip(values, axes_of.items(), strict=True):
            assert value.name == name
            dims = value.type.tensor_type.shape.dim
            for dim, axis in zip(dims, axes, strict=True):
                if isinstance(axis, str):
                    dim.dim_param = axis
                elif dim.dim_value != axis:
                    raise InputError(
                        f"The {graph.name} graph's {name} came out with an axis of "
                        f"{dim.dim_value or dim.dim_param}, expected {axis}: torch "
                        f"{torch.__version__} exports it wrongly, take another release."
                    )
    del model.graph.value_info[:]  # they name axes as torch does
    for node in _nodes(model.graph):
        if module := _module(node):
            node.name = f"{module}/{node.name}"
        del node.metadata_props[:]  # paths of this machine
        node.doc_string = ""
    return model


@contextmanager
def _not_told(text: str) -> Iterator[None]:
    """Let torch's exporter log no line with this text."""

    def is_wanted(record: logging.LogRecord) -> bool:
        return text not in record.getMessage()

    handlers = logging.getLogger("torch.onnx").handlers
    for handler in handlers:
        handler.addFilter(is_wanted)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_wanted)


def _module(node: Any) -> str:  # noqa: ANN401
    """Return the name of the module that a node of torch's ONNX model came from, if it is known."""
    known = {entry.key: entry.value for entry in node.metadata_props}
    scopes: list[str] = ast.literal_eval(known.get("pkg.torch.onnx.name_scopes", "[]"))
    return scopes[-2] if len(scopes) > 1 else ""


def _nodes(graph: Any) -> list[Any]:  # noqa: ANN401
    """Return the nodes of an ONNX graph and of the graphs in them."""
    inner = [
        node
        for outer in graph.node
        for attribute in outer.attribute
        if attribute.HasField("g")
        for node in _nodes(attribute.g)
    ]
    return [*graph.node, *inner]


def open_graph(
    path: Path, kind: Format, one: bool = False, calls: int = 1, bf16: bool = False
) -> Run:
    """Return what runs a written graph on arrays, on the CPU, one thread for each call.

    Args:
        path: The file to open.
        kind: Its format.
        one: Whether it only gets batches of one, and clips of one frame: OpenVINO takes half as
            long where it knows.
        calls: Number of threads that call it at once.
        bf16: Whether OpenVINO computes in bfloat16; the others do not.

    Raises:
        InputError: The package is not installed, or cannot read the file.
    """
    if kind == "torch":
        module = torch.export.load(path).module()

        def run_torch(arrays: Arrays) -> list[npt.NDArray[np.float32]]:
            with torch.no_grad():
                out = module(*map(torch.from_numpy, arrays))
            return [o.numpy() for o in (out if isinstance(out, (tuple, list)) else (out,))]

        return run_torch
    if kind == "onnx":
        runtime = needed("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        for axis in ("batch", "time") if one else ():
            options.add_free_dimension_override_by_name(axis, 1)
        options.log_severity_level = 3
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]

        def run_onnx(arrays: Arrays) -> list[npt.NDArray[np.float32]]:
            found: list[npt.NDArray[np.float32]] = session.run(
                None, dict(zip(names, arrays, strict=True))
            )
            return found

        return run_onnx
    core = openvino_core()
    model = core.read_model(path)
    if one:
        of_inputs = [(value, value.get_partial_shape()) for value in model.inputs]
        model.reshape({v: [s.get_min_length() or 1 for s in shape] for v, shape in of_inputs})
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": calls,
        "NUM_STREAMS": calls,
    }
    compiled = core.compile_model(model, "CPU", settings)
    of_threads = threading.local()  # a request serves one thread at a time

    def run_openvino(arrays: Arrays) -> list[npt.NDArray[np.float32]]:
        if not hasattr(of_threads, "request"):
            of_threads.request = compiled.create_infer_request()
        results = of_threads.request.infer(list(arrays))
        return [np.array(results[i]) for i in range(len(compiled.outputs))]

    return run_openvino
