"""Time of the networks alone, for inference and for a training step, and where it goes.

    python benchmarks/network.py                          torch in float32 and bfloat16
    python benchmarks/network.py --against ../other       beside another checkout
    python benchmarks/network.py --threads 1 --threads 2
    python benchmarks/network.py --operators              the time by operator

The networks are the shipped ones, prepared as `facemask extract` does, on one clip of five frames
of noise, and on 24 that they score as windows, as in extraction ("primary windows" …); and one with
random weights and finer skips. Training steps are those of an FCN and a
ConvLSTM-FCN with random weights. Each checkout runs in a process of its own; they take turns, one
call at a time, so that what else the machine does hits both alike. Times are the least of many
calls: of the processor with one thread, which minds neighbours less, else of the clock on the wall.
Where ONNX Runtime or OpenVINO is installed (and onnx with onnxscript, to export), they are measured
on the same clip.
"""

import argparse
import importlib.util
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
FINE: dict[str, Any] = {"output_stride": 32, "skips": (16, 8, 4, 2), "skip_channels": 32}
SHIPPED: dict[str, Any] = {"output_stride": 32, "skips": (16, 8, 4), "skip_channels": 48}
BACKBONE = "tf_efficientnet_lite0"
ROLES = ("primary", "eyes", "mouth")
INFERENCE = (*ROLES, *(f"{role} windows" for role in ROLES), "fine")
TRAINING = ("FCN step", "FCN step, fine", "ConvLSTM-FCN step")
PRECISIONS = ("float32", "bfloat16")


class Cases:
    """What is measured, by name, of the checkout that `facemask` is imported from."""

    def __init__(self) -> None:
        """Make nothing yet."""
        self._made: dict[tuple[str, bool], tuple[Any, int]] = {}

    def call(self, name: str, precision: str) -> tuple[Callable[[], object], int]:
        """Return a call to be timed, and the number of frames that it is of."""
        import torch

        bf16 = precision == "bfloat16"
        if (name, bf16) not in self._made:
            torch.manual_seed(0)
            self._made[name, bf16] = _step(name) if "step" in name else _network(name, bf16)
        of_precision, frames = self._made[name, bf16]

        def call() -> object:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                return of_precision()

        return call, frames


def network_and_clip(name: str, bf16: bool = False) -> tuple[Any, Any]:
    """Return a network as extraction has it, and a clip (1, T, 3, S, S)."""
    import torch

    from facemask.extraction import load_model
    from facemask.extraction.load import for_inference
    from facemask.models import Cascade, CascadeSettings, ConvLSTMFCN

    if name == "fine":
        network = ConvLSTMFCN(BACKBONE, 5, kernel_size=3, cell_activation="tanh", **FINE)
        cascade = Cascade(network, settings=CascadeSettings(size=193)).eval()
        role = "primary"
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the licence of the weights
            cascade = load_model("default")
        role = name.removesuffix(" windows")
    # checkouts from before there was such a parameter cast weights at each call
    known = "bf16" in inspect.signature(for_inference).parameters
    fast = for_inference(cascade, **({"bf16": bf16} if known else {}))
    frames, size = 24 if name.endswith("windows") else 5, cascade.settings.size
    return fast.networks()[role], torch.rand(1, frames, 3, size, size)


def _network(name: str, bf16: bool) -> tuple[Any, int]:
    import torch

    network, clip = network_and_clip(name, bf16)

    @torch.inference_mode()
    def call() -> object:
        return network.score_windows(clip) if name.endswith("windows") else network(clip)

    return call, clip.shape[1]


def _step(name: str) -> tuple[Any, int]:
    import torch
    import torch.nn.functional as F

    from facemask.models import FCN, ConvLSTMFCN

    options = FINE if "fine" in name else SHIPPED
    if name.startswith("FCN"):
        network: Any = FCN(BACKBONE, 5, **options)
        images = torch.rand(8, 3, 193, 193)
    else:
        network = ConvLSTMFCN(BACKBONE, 5, kernel_size=3, cell_activation="tanh", **options)
        images = torch.rand(2, 5, 3, 193, 193)
    network.train()
    frames = images.numel() // images[..., :3, :, :].flatten(0, -4)[0].numel()
    labels = torch.randint(0, 5, (frames, 193, 193))

    def call() -> None:
        network.zero_grad()
        scores = network(images)
        scores = scores[0].flatten(0, 1) if isinstance(scores, tuple) else scores
        with torch.autocast("cpu", enabled=False):
            torch.autograd.backward(F.cross_entropy(scores.float(), labels))

    return call, frames


def work() -> None:
    """Time calls that are asked for on the standard input, one line of JSON each."""
    import torch

    import facemask  # noqa: F401  # it mends torchvision before timm imports it

    cases = Cases()
    for line in sys.stdin:
        asked = json.loads(line)
        torch.set_num_threads(asked["threads"])
        call, frames = cases.call(asked["case"], asked["precision"])
        clock = time.process_time if asked["threads"] == 1 else time.perf_counter
        start = clock()
        call()
        print(json.dumps((clock() - start) / frames), flush=True)


class Checkout:
    """A process that times one checkout."""

    def __init__(self, root: Path) -> None:
        """Start it."""
        environment = os.environ | {"PYTHONPATH": str(root)}
        command = [sys.executable, __file__, "--worker"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def milliseconds(self, case: str, precision: str, threads: int) -> float:
        """Return the time of one call, a frame."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"case": case, "precision": precision, "threads": threads}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return 1e3 * float(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def others(case: str, threads: int, repeats: int) -> dict[str, float]:
    """Return the least milliseconds a frame of ONNX Runtime and OpenVINO, if they are installed."""
    if not all(importlib.util.find_spec(module) for module in ("onnx", "onnxscript")):
        return {}
    import torch

    network, clip = network_and_clip(case)
    calls: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "network.onnx")
        torch.onnx.export(network, (clip,), path, dynamo=True, verbose=False, external_data=False)
        if importlib.util.find_spec("onnxruntime"):
            import onnxruntime

            settings = onnxruntime.SessionOptions()
            settings.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(path, settings)
            feed = {session.get_inputs()[0].name: clip.numpy()}
            calls["ONNX Runtime float32"] = lambda: session.run(None, feed)
        if importlib.util.find_spec("openvino"):
            import openvino

            core = openvino.Core()
            for precision, hint in (("float32", "f32"), ("bfloat16", "bf16")):
                options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
                model = core.compile_model(path, "CPU", options)
                calls[f"OpenVINO {precision}"] = lambda model=model: model(clip.numpy())  # type: ignore[misc]
        best = dict.fromkeys(calls, float("inf"))
        for _ in range(repeats):
            for name, call in calls.items():
                start = time.process_time() if threads == 1 else time.perf_counter()
                call()
                stop = time.process_time() if threads == 1 else time.perf_counter()
                best[name] = min(best[name], 1e3 * (stop - start) / clip.shape[1])
    return best


def operators(case: str, precision: str, rounds: int) -> dict[str, tuple[float, int]]:
    """Return the least milliseconds and the calls of each operator, of one call of the network."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.set_num_threads(1)
    call, _ = Cases().call(case, precision)
    call()
    least: list[tuple[str, float]] = []
    for _ in range(rounds):
        with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiled:
            call()
        events = sorted(profiled.events(), key=lambda e: (e.time_range.start, -e.time_range.end))
        found = [(event.name, event.self_cpu_time_total / 1e3) for event in events]
        if [name for name, _ in found] == [name for name, _ in least]:
            found = [(n, min(a, b)) for (n, a), (_, b) in zip(found, least, strict=True)]
        least = found
    total: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
    for name, spent in least:
        total[name] = (total[name][0] + spent, total[name][1] + 1)
    return dict(sorted(total.items(), key=lambda item: -item[1][0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--against", type=Path, help="root of another checkout")
    parser.add_argument("--threads", type=int, action="append", help="1 unless given")
    parser.add_argument("--repeats", type=int, default=30, help="calls; a sixth for training")
    parser.add_argument("--case", action="append", choices=[*INFERENCE, *TRAINING])
    parser.add_argument("--operators", action="store_true", help="time by operator, one thread")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work()
    cases = options.case or [*INFERENCE, *TRAINING]
    if options.operators:
        for case in cases:
            for precision in PRECISIONS:
                found = operators(case, precision, options.repeats)
                total = sum(spent for spent, _ in found.values())
                print(f"\n{case}, {precision}, one thread: {total:.1f} ms")
                for name, (spent, count) in list(found.items())[:14]:
                    print(
                        f"  {name:<40}{spent:8.2f} ms {100 * spent / total:5.1f} % {count:5} calls"
                    )
        return None
    here = Path(__file__).resolve().parents[1]
    roots = {"ms a frame": here} | ({"before": options.against} if options.against else {})
    checkouts = {name: Checkout(root) for name, root in roots.items()}
    print(f"{'case':<20}{'threads':>8} {'':<22}" + "".join(f"{n:>12}" for n in roots) + "   ratio")
    for case in cases:
        repeats = options.repeats if case in INFERENCE else -(-options.repeats // 6)
        for threads in options.threads or [1]:
            ways = [(name, precision) for precision in PRECISIONS for name in roots]
            best = dict.fromkeys(ways, float("inf"))
            for turn in range(repeats + 1):
                for name, precision in ways:
                    spent = checkouts[name].milliseconds(case, precision, threads)
                    if turn:  # the first call is slower
                        best[name, precision] = min(best[name, precision], spent)
            rows = {f"torch {p}": [best[name, p] for name in roots] for p in PRECISIONS}
            if case in INFERENCE and not case.endswith("windows"):
                rows |= {k: [v] for k, v in others(case, threads, repeats).items()}
            for way, times in rows.items():
                ratio = f"{times[0] / times[1]:8.2f}" if len(times) > 1 else ""
                shown = "".join(f"{spent:12.2f}" for spent in times)
                print(f"{case:<20}{threads:>8} {way:<22}{shown}{ratio}", flush=True)
    for checkout in checkouts.values():
        checkout.close()
    return None


if __name__ == "__main__":
    main()
