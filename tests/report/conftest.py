from pathlib import Path

import pytest

from tests.report.runs import write_data, write_run


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in data/ and three runs on it in runs/. Read only: copy to change."""
    place = tmp_path_factory.mktemp("report")
    root = write_data(place / "data")
    write_run(place / "runs" / "fcn" / "test", root, errors=0.3)
    write_run(place / "runs" / "lstm" / "test", root, errors=0.1, clip_length=5)
    write_run(place / "runs" / "frames", root, errors=0.2, flow=None)
    return place
