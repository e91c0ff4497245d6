"""Videos done by workers of a Dask cluster."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from facemask.cli import main
from tests.extraction.faces import random_cascade
from tests.extraction.killing import killed_while_at, written
from tests.video.videos import make_video

distributed = pytest.importorskip(
    "distributed", reason="Dask is not installed: pip install 'facemask-video[cluster]'"
)


class Cluster(Protocol):
    """A running cluster."""

    scheduler_address: str


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RANK", "WORLD_SIZE", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    random_cascade().save(Path("model.safetensors"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler and two workers, each a process that is begun again when it dies."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50,
        local_directory=str(tmp_path / "dask"),
    ) as started:  # fmt: skip
        yield started


def processes(cluster: Cluster) -> set[int]:
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(2)
        return set(client.run(os.getpid).values())


def test_a_dead_workers_video_is_done_again_and_each_is_written_once(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    make_video(Path("a.mp4"), 200)
    for name in "bcdef":
        make_video(Path(f"{name}.mp4"), 9)
    Path("broken.mp4").write_bytes(b"no video")
    before = processes(cluster)
    given = ["extract", "*.mp4", "--model", "model.safetensors", "--cropped", "--save", "csv"]
    with (
        killed_while_at(Path("masks/a.csv")) as killed,
        pytest.raises(SystemExit) as stop,
        written(Path("masks")) as seen,
    ):
        main([*given, "--cluster", cluster.scheduler_address])
    assert stop.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"2 workers at {cluster.scheduler_address}" in said
    assert "a: 200 frames, 100 % with a face" in said
    assert "1 of 7 videos failed, the first: broken.mp4: " in said
    assert set(killed) == before - processes(cluster)
    tables = {f"{name}.csv" for name in "abcdef"}
    assert {path.name for path in Path("masks").iterdir()} == tables | {
        f"{name}.facemask.json" for name in "abcdef"
    }
    assert {name: len(seen[name]) for name in tables} == dict.fromkeys(tables, 1)
    assert len(Path("masks/a.csv").read_text().splitlines()) == 201

    Path("broken.mp4").unlink()
    main([*given, "--cluster", cluster.scheduler_address])  # goes on, where it was
    said = " ".join(capsys.readouterr().err.split())
    assert said.endswith("6 of 6 videos were left out: done before, or by others.")


def test_wrong_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    make_video(Path("a.mp4"), 3)
    monkeypatch.setattr("facemask.extraction.cluster._PATIENCE", 1)
    given = ["extract", "a.mp4", "--model", "model.safetensors", "--cropped", "--cluster"]
    for place in ("tcp://127.0.0.1:9", "nowhere.json", "smtp://x"):
        with pytest.raises(SystemExit) as stop:
            main([*given, place])
        assert stop.value.code == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert f"--cluster is {place!r}, but no Dask scheduler answers there" in said
        assert not Path("masks").exists()
