"""What importing the package does, in fresh interpreters."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# A torchvision as `pip install torchvision` brings it beside a CPU torch: its library does not
# load, and importing it registers shape functions for operators that then do not exist.
BROKEN_TORCHVISION = """
    import torch
    for name in ("nms", "qnms"):
        torch.library.register_fake(f"torchvision::{name}")(lambda *a: None)
"""


def run(code: str, *, path: Path | None = None) -> str:
    code = textwrap.dedent(code)
    if path is not None:
        code = f"import sys; sys.path.insert(0, {str(path)!r})\n" + code
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(textwrap.dedent(BROKEN_TORCHVISION))
    (package / "_C.so").write_bytes(b"not a library for this torch")
    return tmp_path


HEAVY = (
    "albumentations", "jsonargparse", "matplotlib", "pytorch_lightning", "timm", "torch",
    "torchmetrics", "torchvision", "wandb",
)  # fmt: skip


@pytest.mark.parametrize(
    "code",
    [
        "import facemask",
        "import facemask.data.prepare",  # which its workers start with
        "import facemask.data.synthetic.writer",  # the same
        "import facemask.cli",
        "import facemask.extraction; facemask.extraction.Temporal",
        "sys.argv[1:] = ['--version']; import facemask.cli; facemask.cli.main()",
        "sys.argv[1:] = ['--help']; import facemask.cli; facemask.cli.main()",
    ],
)
def test_import_is_cheap(code: str) -> None:
    heavy = tuple(name for name in HEAVY if name != "jsonargparse" or "prepare" not in code)
    found = f"print([m for m in {heavy} if m in sys.modules])"
    out = run(f"import atexit, sys; atexit.register(lambda: {found}); {code}")
    assert out.splitlines()[-1] == "[]"


@pytest.mark.parametrize("word", ["none.mp4", "--temporal=smoth", "--save=overlai"])
def test_files_and_options_are_checked_before_torch_is_imported(word: str) -> None:
    code = f"""
        import sys
        from facemask.cli import main
        try:
            main(["extract", "facemask", {word!r}])
        except SystemExit as end:
            print(end.code, [m for m in {HEAVY} if m in sys.modules and m != "jsonargparse"])
    """
    assert run(code) == "2 []"


def test_shipped_weights_extract_without_the_libraries_of_training(tmp_path: Path) -> None:
    code = f"""
        import sys
        import cv2
        import numpy as np
        from facemask.cli import main
        cv2.imwrite({str(tmp_path / "face.png")!r}, np.full((64, 64, 3), 90, np.uint8))
        main(["extract", {str(tmp_path / "face.png")!r}, "--cropped", "-o", {str(tmp_path)!r}])
        print([m for m in (*{HEAVY}, "scipy") if m in sys.modules])
    """
    assert run(code).splitlines()[-1] == "['jsonargparse', 'torch']"


OF_TRAINING = ("albumentations", "lightning_fabric", "pytorch_lightning", "timm", "wandb")
MISSING = f"""
    import sys
    class Missing:
        def find_spec(self, name, *_):
            if name.partition(".")[0] in {OF_TRAINING}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
    sys.meta_path.insert(0, Missing())
"""


def light(code: str) -> str:
    """Run as in an environment without the extra `train`."""
    return run(textwrap.dedent(MISSING) + textwrap.dedent(code))


def test_a_light_install_has_what_does_not_train() -> None:
    code = """
        import facemask.annotate.command, facemask.app.command, facemask.data.prepare
        import facemask.export.command, facemask.report.command, facemask.weights.command
        from facemask.extraction import FaceMaskExtractor
        from facemask.losses import CompositeLoss, IoULoss, SegmentationLoss
        from facemask.metrics import MaskIoU, TemporalConsistency, paired_significance
        from facemask.models import FCN, Cascade, ConvLSTM, ConvLSTMFCN
        FaceMaskExtractor.load()
    """
    assert light(code) == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each command in a forked process")
def test_a_light_install_says_what_brings_the_rest() -> None:
    """One process imports torch, and is forked for each."""
    missing = {
        ("fit", "-c", "configs/fcn.yaml"): "lightning_fabric",
        ("calibrate", "runs/fcn"): "pytorch_lightning",
        ("show", "masks"): "pytorch_lightning",
    }
    code = f"""
        import os, torch
        from facemask.cli import main
        sys.stderr = sys.stdout
        for arguments in {[*missing]}:
            if os.fork() == 0:
                try:
                    main([*arguments])
                except SystemExit as end:
                    print(end.code, flush=True)
                os._exit(0)
            os.wait()
        from facemask.errors import InputError
        from facemask.models import FCN
        try:
            FCN("resnet18")
        except InputError as error:
            print(error)
    """
    install = 'which is not installed: pip install "facemask-video[train]".'
    said = [f"facemask: error: facemask {verb} needs {library}, {install}\n2"
            for (verb, *_), library in missing.items()]  # fmt: skip
    assert light(code) == "\n".join([*said, f"the backbone 'resnet18' needs timm, {install}"])


def test_albumentations_comes_with_the_first_training_clip() -> None:
    code = """
        import sys
        import numpy as np
        import facemask.training.modules
        from facemask.data import ClipAugmentation
        augmentation = ClipAugmentation()
        before = "albumentations" in sys.modules
        augmentation([np.zeros((64, 64, 3), np.uint8)], [np.zeros((64, 64), np.uint8)], seed=0)
        print(before, "albumentations" in sys.modules)
    """
    assert run(code) == "False True"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says how much it took")
def test_a_worker_of_prepare_is_small(vw300_root: Path, tmp_path: Path) -> None:
    code = f"""
        import re, sys
        from pathlib import Path
        from facemask.data.vw300 import find_videos
        from facemask.data.prepare_video import RECORDS, Settings, VideoJob, prepare_video
        out = Path({str(tmp_path)!r})
        for name in ("images_orig", "labels_orig", RECORDS):
            (out / name).mkdir()
        video = find_videos(Path({str(vw300_root)!r}))[0][0]
        prepared = prepare_video(VideoJob(video, out, set(), set(), Settings(1.0, 0, 95, False)))
        heavy = [name for name in ("torch", "scipy", "pytorch_lightning") if name in sys.modules]
        # not getrusage(), which counts what the process was before it became another program
        peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())
        print(len(prepared.frames), heavy, int(peak[1]) < 120_000)
    """
    assert run(code) == "64 [] True"


def test_a_broken_torchvision_fails_without_us(broken: Path) -> None:
    code = """
        try:
            import torchvision
        except RuntimeError as error:
            print(error)
    """
    assert "operator torchvision::nms does not exist" in run(code, path=broken)


def test_a_broken_torchvision_is_mended(broken: Path) -> None:
    code = """
        import facemask
        from facemask._torchvision import define_missing_operators
        import torchvision
        assert torchvision.__file__.startswith(sys.path[0])
        print(define_missing_operators())
    """
    assert run(code, path=broken) == "True"


def test_a_healthy_torchvision_is_left_alone(tmp_path: Path) -> None:
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("")
    code = f"""
        import torch
        loaded = []
        torch.ops.load_library = lambda path: loaded.append(str(path))
        open({str(package / "_C.so")!r}, "w").close()
        from facemask._torchvision import define_missing_operators
        print(define_missing_operators(), len(loaded) > 0, hasattr(torch.ops.torchvision, "nms"))
    """
    assert run(code, path=tmp_path) == "False True False"


def test_timm_imports_here_after_facemask() -> None:
    assert run("import facemask, timm; print('fine')") == "fine"
