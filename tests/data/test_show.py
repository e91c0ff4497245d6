import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from facemask.cli import main
from facemask.configuration import read_configuration
from facemask.data import ClipAugmentation, FaceMaskDataModule
from facemask.data.datamodule import EpochSampler
from facemask.data.show import show
from facemask.errors import InputError
from facemask.files import read_image
from facemask.regions import Region
from facemask.resample import resize_image

CONFIGS = Path(__file__).parents[2] / "configs"
TILE, GAP = 96, 4


def contains(sheet: np.ndarray, picture: np.ndarray, left: int) -> list[int]:
    """Rows of the sheet at which a picture begins, its left edge at the given column."""
    strip = sheet[:, left : left + picture.shape[1]]
    first = np.flatnonzero((strip == picture[0]).all(axis=(1, 2)))
    return [
        top for top in first.tolist() if np.array_equal(strip[top : top + len(picture)], picture)
    ]


@pytest.mark.parametrize(("region", "kinds"), [("face", 2), ("eyes", 3), ("mouth", 3)])
def test_the_sheet_shows_what_training_gets(
    region: Region, kinds: int, mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "sheet.png"
    show(str(mask_root), region=region, clips=2, out=str(out), epoch=3, tile=TILE)
    assert f"{out}: train of {mask_root}: 2 of " in capsys.readouterr().out
    show(str(mask_root), region=region, clips=2, out=str(out), epoch=3, tile=TILE)
    replaced = f"{out}, in place of the file that was there: train of {mask_root}: 2 of "
    assert capsys.readouterr().out.startswith(replaced)
    sheet = read_image(out)
    assert sheet.shape[1] == 5 * (TILE + GAP)
    assert sheet.shape[0] > 2 * kinds * (TILE + GAP)

    data = FaceMaskDataModule(
        str(mask_root), region=region, augmentation=ClipAugmentation(), num_workers=0
    )
    data.setup("fit")
    loader = data.train_dataloader()
    assert isinstance(loader.sampler, EpochSampler)
    loader.sampler.set_epoch(3)
    batch = next(iter(loader))
    tops = []
    for clip in batch["images"]:
        # each frame's plain picture is in its column, all in one row
        places = [
            contains(sheet, resize_image(frame.permute(1, 2, 0).numpy(), TILE, TILE), t * 100)
            for t, frame in enumerate(clip)
        ]
        assert len({tuple(place) for place in places}) == 1
        tops.append(places[0][0])
    assert tops[1] - tops[0] > kinds * (TILE + GAP)  # one row a clip, in the loader's order
    # above it the same picture with the mask's colours
    overlaid = sheet[tops[0] - TILE - GAP : tops[0] - GAP, :TILE]
    plain = sheet[tops[0] : tops[0] + TILE, :TILE]
    assert 0.005 < (overlaid != plain).any(axis=2).mean() < 1
    yellow = (sheet[tops[0] + TILE + GAP :][:TILE, :TILE] == (255, 220, 0)).all(axis=2)
    assert (yellow.sum() > 20) == (region != "face")  # the box


def test_evaluation_is_plain_and_evenly_spread(mask_root: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        show(str(mask_root), side="val", clips=3, out=str(tmp_path / f"{name}.png"), tile=TILE)
    one = read_image(tmp_path / "one.png")
    np.testing.assert_array_equal(one, read_image(tmp_path / "two.png"))
    data = FaceMaskDataModule(str(mask_root), num_workers=0)
    data.setup("validate")
    dataset = data.datasets["val"]
    last = dataset[len(dataset) - 1]["images"][0].permute(1, 2, 0).numpy()
    assert contains(one, resize_image(last, TILE, TILE), 0)


def test_a_training_yaml_as_source(
    mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sheet.jpg"
    main(["show", str(CONFIGS / "fcn_mouth.yaml"), f"--root={mask_root}", "--side=test",
          "--clips=2", f"--tile={TILE}", f"--out={out}"])  # fmt: skip
    assert "2 of 33 clips, region mouth" in capsys.readouterr().out
    # single frames: mask, picture and face crop side by side
    assert read_image(out).shape[1] == 3 * (TILE + GAP) + GAP
    main(["show", str(CONFIGS / "fcn_mouth.yaml"), f"--root={mask_root}", "--region=face",
          "--clips=1", f"--tile={TILE}", f"--out={out}"])  # fmt: skip
    assert "region face" in capsys.readouterr().out
    assert read_image(out).shape[1] == 2 * (TILE + GAP) + GAP


def test_short_clips_and_other_letters(mask_root: Path, tmp_path: Path) -> None:
    root = shutil.copytree(mask_root, tmp_path / "data")
    for folder, suffix in (("images_orig", "jpg"), ("labels_orig", "png")):
        (root / folder / f"003_000001.{suffix}").rename(root / folder / f"Zoë_000001.{suffix}")
    line = "/images_orig/Zoë_000001.jpg /labels_orig/Zoë_000001.png\n"
    (root / "data_splits/split_1/test_per10.txt").write_text(line, encoding="utf-8")
    show(str(root), region="eyes", side="test", out=str(tmp_path / "s.png"), tile=TILE)
    assert read_image(tmp_path / "s.png").shape[1] == 5 * (TILE + GAP)


def test_bad_input(mask_root: Path, tmp_path: Path) -> None:
    root = str(mask_root)
    with pytest.raises(InputError, match="side is 'tset': give one of train, val, test"):
        show(root, side="tset")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="region is 'nose'"):
        show(root, region="nose", out=str(tmp_path / "a.png"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="clips is 0, expected at least 1"):
        show(root, clips=0)
    with pytest.raises(InputError, match="epoch is -1, expected at least 0"):
        show(root, epoch=-1)
    with pytest.raises(InputError, match="tile is 9, expected at least 64"):
        show(root, tile=9)
    with pytest.raises(InputError, match=r"out is .*sheet\.txt': give a file that ends in"):
        show(root, out=str(tmp_path / "sheet.txt"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there"):
        show(root, out=str(tmp_path / "file" / "sheet.png"))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=r"folder\.png: cannot write: it is a folder"):
        show(root, out=str(tmp_path / "folder.png"))
    with pytest.raises(InputError, match="none: no such folder"):
        show(str(tmp_path / "none"), out=str(tmp_path / "a.png"))
    with pytest.raises(InputError, match="is a folder already: leave it out"):
        show(root, root=root, out=str(tmp_path / "a.png"))
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read the configuration: No such file"),
        ("a: [1", "cannot read the configuration: it is no YAML"),
        ("model: {}", "has no section `data` with a class_path"),
        ("data: {class_path: facemask.data.FaceMaskDataModule, init_args: {sise: 3}}", "sise"),
        ("data: {class_path: torch.nn.Linear}", "its data section is wrong"),
        ("data: {class_path: facemask.data.FaceMaskDataModule}", r"data\.root is not set"),
    ],
)
def test_bad_yaml(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        show(str(path), out=str(tmp_path / "a.png"))


def test_all_options_of_the_data_section_are_taken(
    mask_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = read_configuration(CONFIGS / "convlstm_fcn_eyes.yaml")
    config["data"]["init_args"] |= {
        "root": str(mask_root), "clip_length": 2, "size": 64, "box_margin": 3.0,
        "augmentation": {"class_path": "facemask.data.ClipAugmentation",
                         "init_args": {"flip": 0.0, "occlusion": 0.0}},
    }  # fmt: skip
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    out = tmp_path / "s.png"
    show(str(tmp_path / "own.yaml"), out=str(out), clips=1, tile=TILE)
    assert capsys.readouterr().out.endswith("region eyes, epoch 0\n")  # nothing was left out
    assert read_image(out).shape[1] == 2 * (TILE + GAP)
