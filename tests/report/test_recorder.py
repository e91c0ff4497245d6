import csv
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn

from facemask.data import FaceMaskDataModule
from facemask.data.vw300_mask import PSEUDO, Frame, read_label, read_split
from facemask.errors import InputError
from facemask.files import read_image
from facemask.metrics import TemporalConsistency
from facemask.regions import REGIONS, Region
from facemask.report import read_run
from facemask.report.command import make_page
from facemask.report.record import RECORD
from facemask.report.recorder import FrameRecorder
from facemask.report.runs import load_runs
from facemask.training.mask_module import MaskModule
from facemask.training.modules import FCNModule
from tests.report.runs import VIDEOS, make_table, write_data

BACKBONE = "mobilenetv3_small_050"


class BrightNetwork(nn.Module):
    """Scores that follow the image: lips where it is red, skin where it is bright."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("std", torch.ones(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        red, green = images[..., 0, :, :], images[..., 1, :, :]
        zero = torch.zeros_like(red) + self.weight
        scores = [zero + 0.3, green, zero + 0.1, red - 0.2, zero]
        return torch.stack(scores[: self.num_classes], dim=-3)


class BrightModule(MaskModule):
    def __init__(self, region: Region = "face") -> None:
        network: Any = BrightNetwork(len(REGIONS[region].class_names))
        super().__init__(network, None, torch.optim.Adam, 1e-3, False, region)

    def describe_network(self) -> dict[str, Any]:
        return {"network": "BrightNetwork"}


def data(root: Path, clip_length: int | None = 5, region: Region = "face") -> FaceMaskDataModule:
    return FaceMaskDataModule(
        str(root), clip_length=clip_length, size=32, batch_size=2, num_workers=0, region=region
    )


def run_test(
    root: Path,
    recorder: FrameRecorder,
    folder: Path,
    clip_length: int | None = 5,
    module: MaskModule | None = None,
    **options: Any,  # noqa: ANN401
) -> dict[str, float]:
    trainer = Trainer(
        default_root_dir=folder, accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False, **{"logger": False, "callbacks": [recorder], **options},
    )  # fmt: skip
    module = module or BrightModule()
    result = trainer.test(module, data(root, clip_length, module.region), verbose=False)[0]
    return {name: float(value) for name, value in result.items()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of two subjects with a gap. Read only: copy to change."""
    return write_data(tmp_path_factory.mktemp("data") / "data")


@pytest.mark.parametrize("clip_length", [None, 5, 4])
def test_every_frame_is_counted(root: Path, tmp_path: Path, clip_length: int | None) -> None:
    recorder = FrameRecorder(str(tmp_path / "out"), flow="none")
    logged = run_test(root, recorder, tmp_path, clip_length)
    run = read_run(tmp_path / "out")
    labels = {path.stem: read_label(path) for path in (tmp_path / "out" / "labels").iterdir()}
    expected, _ = make_table(root, labels, clip_length or 1)
    assert len(expected) == sum(len(numbers) for _, numbers in VIDEOS.values()) == 19
    for column in expected.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(run.table, column), getattr(expected, column))
    assert 0 < logged["test/miou"] < 1
    assert run.table.miou() == pytest.approx(logged["test/miou"], abs=1e-7)
    np.testing.assert_allclose(run.table.iou()[3], logged["test/iou_lips"], atol=1e-7)
    assert run.record.metrics["miou"] == logged["test/miou"]
    assert run.record.network == {"network": "BrightNetwork"}
    assert Path(run.record.data_root) == root.resolve()
    assert run.record.checkpoint is None


def test_predicted_label_images_are_those_of_predict(mask_root: Path, tmp_path: Path) -> None:
    module = BrightModule()
    recorder = FrameRecorder(str(tmp_path), flow=None)
    run_test(mask_root, recorder, tmp_path, module=module)
    trainer = Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False,
                      enable_progress_bar=False)  # fmt: skip
    batches: Any = trainer.predict(module, data(mask_root))
    predicted = {name: label for batch in batches for name, label in batch.items()}
    written = {path.stem: read_label(path) for path in (tmp_path / "labels").iterdir()}
    assert written.keys() == predicted.keys()
    for name, label in predicted.items():
        np.testing.assert_array_equal(written[name], label.numpy())
    run = read_run(tmp_path)
    assert run.record.flow is None
    assert run.consistency is None
    assert not (tmp_path / "consistency.csv").exists()


def test_consistency_of_a_sequence_without_bridging_its_gap(root: Path, tmp_path: Path) -> None:
    run_test(root, FrameRecorder(str(tmp_path), flow="dis_ultrafast"), tmp_path)
    consistency = read_run(tmp_path).consistency
    assert consistency is not None
    assert consistency.video.tolist() == ["001", "001", "002", "002", "003"]
    assert consistency.sequence.tolist() == [0, 1, 0, 1, 0]
    frames = [
        f for f in read_split(root, "split_1", "test") if (f.video, f.number < 31) == ("001", True)
    ]

    def files(frame: Frame) -> tuple[Path, Path]:
        assert frame.label is not None
        return tmp_path / "labels" / frame.label.name, frame.label

    for prefix, which in (("", 0), ("truth_", 1)):
        metric = TemporalConsistency(flow="dis_ultrafast")
        for stretch in (frames[:6], frames[6:]):  # frame 7 is missing
            images = [torch.from_numpy(read_image(f.image)).permute(2, 0, 1) for f in stretch]
            metric.update(images, [torch.from_numpy(read_label(files(f)[which])) for f in stretch])
        for name, value in metric.compute().items():
            found = consistency.values[prefix + name][0]
            np.testing.assert_allclose(found, float(value), rtol=1e-5, equal_nan=True)
    assert consistency.values["truth_tc_dis_ultrafast"][0] > 0.3


def test_frames_too_small_for_the_flow_do_not_lose_the_test(tmp_path: Path) -> None:
    root = write_data(tmp_path / "data", {"003": ("ann", [1, 2])})
    for path in (*root.glob("images_orig/*"), *root.glob("labels_orig/*")):
        image = read_image(path) if path.suffix == ".jpg" else read_label(path)
        cv2.imwrite(str(path), image[1:7, 8:14])
    with pytest.warns(UserWarning, match="No consistency of video 003, sequence 0"):
        run_test(root, FrameRecorder(str(tmp_path / "out")), tmp_path)
    run = read_run(tmp_path / "out")
    assert run.consistency is not None
    assert np.isnan(run.consistency.mean("tc_dis_fast"))
    assert run.consistency.values["pairs"].tolist() == [0]


def test_a_new_test_replaces_the_earlier_ones_results(root: Path, tmp_path: Path) -> None:
    run_test(root, FrameRecorder(str(tmp_path), flow="none"), tmp_path)
    whole = read_run(tmp_path)
    assert len(whole.table) == 19
    run_test(root, FrameRecorder(str(tmp_path), flow=None), tmp_path, limit_test_batches=1)
    part = read_run(tmp_path)
    assert part.table.name.tolist() == [f"001_00000{n}" for n in range(1, 7)]
    assert part.record.fingerprint != whole.record.fingerprint
    assert part.table.miou() == pytest.approx(part.record.metrics["miou"], abs=1e-7)
    assert len(list((tmp_path / "labels").iterdir())) == 6
    run_test(root, FrameRecorder(str(tmp_path), flow=None, labels=False), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["frames.csv", "record.json"]
    assert read_run(tmp_path).record.fingerprint == whole.record.fingerprint


class Stop(Callback):
    def on_test_batch_end(self, *_: object) -> None:
        raise KeyError("killed")


def test_a_stopped_test_leaves_the_earlier_record_whole(root: Path, tmp_path: Path) -> None:
    recorder = FrameRecorder(str(tmp_path), flow="none")
    run_test(root, recorder, tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    with pytest.raises(KeyError):
        run_test(root, recorder, tmp_path, callbacks=[recorder, Stop()])
    assert files == {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert not (tmp_path / ".labels.unfinished").exists()


def test_where_the_record_lies(mask_root: Path, tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path / "runs", "fcn", "")
    run_test(mask_root, FrameRecorder(flow=None), tmp_path, logger=logger)
    assert (tmp_path / "runs/fcn/record.json").is_file()
    trainer = Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False, max_epochs=1,
                      enable_progress_bar=False, limit_train_batches=1, limit_val_batches=0,
                      enable_checkpointing=False, callbacks=[FrameRecorder(flow=None)])  # fmt: skip
    module = FCNModule(BACKBONE)
    trainer.fit(module, data(mask_root, None))
    trainer.save_checkpoint(tmp_path / "other" / "fcn.ckpt")
    trainer.test(module, data(mask_root, None), str(tmp_path / "other" / "fcn.ckpt"),
                 weights_only=True, verbose=False)  # fmt: skip
    run = read_run(tmp_path / "other")
    assert run.folder.name == "test"
    assert run.record.checkpoint == str(tmp_path / "other" / "fcn.ckpt")
    assert run.record.network["backbone"] == BACKBONE


def test_fast_dev_run_writes_nothing(mask_root: Path, tmp_path: Path) -> None:
    run_test(mask_root, FrameRecorder(str(tmp_path / "out")), tmp_path, fast_dev_run=1)
    assert not (tmp_path / "out").exists()


def test_another_region_has_no_consistency(root: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="looks at the region 'eyes'"):
        logged = run_test(root, FrameRecorder(str(tmp_path)), tmp_path, module=BrightModule("eyes"))
    run = read_run(tmp_path)
    assert run.record.region == "eyes"
    assert run.record.class_names == ("background", "eyes")
    assert run.table.miou() == pytest.approx(logged["test/miou"], abs=1e-7)
    label = read_label(run.label_file("001_000003"))  # the box of a clip, not the face crop
    assert label.shape == (run.table.height[2], run.table.width[2])
    assert label.shape[0] < 20


def test_without_subjects_each_video_is_one(root: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(root, tmp_path / "data")
    (copy / "subjects.csv").unlink()
    run_test(copy, FrameRecorder(str(tmp_path / "out"), flow=None), tmp_path)
    table = read_run(tmp_path / "out").table
    np.testing.assert_array_equal(table.subject, table.video)


class SilentModule(BrightModule):
    def test_step(self, batch: Any, _batch_index: int) -> None:  # type: ignore[override]  # noqa: ANN401, PT019
        super().test_step(batch, _batch_index)


def test_scores_against_pseudo_landmarks_are_marked(root: Path, tmp_path: Path) -> None:
    copy, folder = shutil.copytree(root, tmp_path / "data"), tmp_path / "out"
    run_test(copy, FrameRecorder(str(folder), flow=None), tmp_path)
    assert not read_run(folder).record.pseudo_landmarks
    (copy / PSEUDO).write_text("by dlib")
    with pytest.warns(UserWarning, match="agreement with dlib, not accuracy"):
        run_test(copy, FrameRecorder(str(folder), flow=None), tmp_path)
    assert read_run(folder).record.pseudo_landmarks
    content = make_page(load_runs([str(folder)], str(folder), None), 2, 1, 0, None).files()
    said = "pseudo-landmarks: scores are agreement with dlib, not accuracy"
    assert said in content["report.md"].decode().replace("\\", "")
    old = json.loads((folder / RECORD).read_text())
    del old["pseudo_landmarks"]  # as it was before there was the mark
    (folder / RECORD).write_text(json.dumps(old))
    assert not read_run(folder).record.pseudo_landmarks


def test_wrong_input(root: Path, tmp_path: Path) -> None:
    (tmp_path / "taken" / "labels").mkdir(parents=True)
    with pytest.raises(InputError, match="labels: exists, and not from `facemask test`"):
        run_test(root, FrameRecorder(str(tmp_path / "taken")), tmp_path)
    with pytest.raises(InputError, match=r"SilentModule.test_step returned a NoneType"):
        run_test(root, FrameRecorder(str(tmp_path / "a")), tmp_path, module=SilentModule())
    trainer = Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False,
                      enable_progress_bar=False, callbacks=[FrameRecorder()])  # fmt: skip
    loaders = data(root)
    loaders.setup("test")
    with pytest.raises(InputError, match="got a BrightModule and a NoneType"):
        trainer.test(BrightModule(), loaders.test_dataloader(), verbose=False)
    copy = shutil.copytree(root, tmp_path / "data")
    (copy / "subjects.csv").write_text("video,subject\n001,ann\n")
    with pytest.raises(InputError, match=r"subjects.csv: no subject for video '002'"):
        run_test(copy, FrameRecorder(str(tmp_path / "b")), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there"):
        run_test(root, FrameRecorder(str(tmp_path / "file" / "out")), tmp_path)


@pytest.mark.slow
def test_two_processes_write_what_one_does(root: Path, tmp_path: Path) -> None:
    run_test(root, FrameRecorder(str(tmp_path / "one"), flow="none"), tmp_path)
    # 7 clips in batches of 2 on 2 processes: Lightning pads with a clip that comes twice
    recorder = FrameRecorder(str(tmp_path / "two"), flow="none")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a forked process waits forever for OpenMP's threads of its parent
    try:
        run_test(root, recorder, tmp_path, devices=2, strategy="ddp_fork")
    finally:
        torch.set_num_threads(threads)
    for name in ("frames.csv", "consistency.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    one, two = read_run(tmp_path / "one"), read_run(tmp_path / "two")
    assert one.record.fingerprint == two.record.fingerprint
    with (tmp_path / "two" / "frames.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 19
    assert len(list((tmp_path / "two" / "labels").iterdir())) == 19
