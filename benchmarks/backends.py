"""Time of a cascade's networks by torch, ONNX Runtime and OpenVINO, and how many labels they keep.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/backends.py default --threads 1

Prints milliseconds a frame of processor time, all threads together, and of wall time: the least of
rounds in which all take turns, for windows of five over clips of 20 frames. Beside a busy process
the former is the steadier. The networks are exported where they are not yet (`facemask extract
--backend`).
"""

import argparse
import time
from functools import partial

import torch

from facemask.extraction.backends import labels_equal, prepare_cascade
from facemask.extraction.load import has_fast_bf16
from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.frames import score_frames
from facemask.weights.load import load_model

BACKENDS = (
    ("torch", False), ("torch", True), ("onnx", False), ("openvino", False), ("openvino", True)
)  # fmt: skip


def score(cascade: Cascade, images: torch.Tensor, bf16: bool) -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for role, network in cascade.networks().items():
            score_frames(network, role, images, 5, [None])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="default")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cascade = load_model(options.model)
    size = cascade.settings.size
    images = torch.randint(0, 256, (1, options.frames, 3, size, size), dtype=torch.uint8)
    fast = has_fast_bf16(torch.device("cpu"))
    prepared, runs = {}, {}
    for backend, bf16 in BACKENDS:
        if bf16 and not fast:
            continue
        name = f"{backend} {'bf16' if bf16 else 'float32'}"
        prepared[name] = prepare_cascade(cascade, backend, "window", bf16)
        runs[name] = partial(score, prepared[name], images, bf16)
    least = dict.fromkeys(runs, (float("inf"), float("inf")))
    for _ in range(options.rounds):
        for name, run in runs.items():
            start, wall = time.process_time(), time.perf_counter()
            run()
            took = (time.process_time() - start, time.perf_counter() - wall)
            least[name] = (min(least[name][0], took[0]), min(least[name][1], took[1]))
    networks = len(cascade.networks())
    print(f"{options.model}, {networks} networks, {size} px, {options.threads} thread(s)")
    for name, times in least.items():
        cpu, wall = (1000 * seconds / options.frames / networks for seconds in times)
        line = f"{name:18} {cpu:6.2f} ms CPU  {wall:6.2f} ms"
        if not name.startswith("torch"):
            equal = labels_equal(prepared["torch float32"], prepared[name])
            line += f"  labels equal {100 * equal:.2f} %"
        print(line)


if __name__ == "__main__":
    main()
