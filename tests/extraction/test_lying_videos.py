"""Videos that lie on their side or upside down simply work: a real face, the default weights."""

import numpy as np
import pytest

from facemask.extraction import ExtractedFrame, FaceMaskExtractor
from facemask.turned import mean_angle, wrapped
from facemask.video import open_source
from tests.extraction.faces import Frames, Image
from tests.video.videos import carphone


@pytest.fixture(scope="module")
def images() -> list[Image]:
    with open_source(carphone()) as source:
        return [frame.image for frame, _ in zip(source, range(6), strict=False)]


def extracted(images: list[Image], quarters: int) -> list[ExtractedFrame]:
    """Frames of the video, turned clockwise."""
    turned = [np.ascontiguousarray(np.rot90(image, -quarters)) for image in images]
    return list(FaceMaskExtractor.load("default", "cpu").video(Frames(turned)))


@pytest.mark.filterwarnings("ignore::facemask.weights.LicenceNotice")
def test_masks_and_rolls_are_those_of_the_upright_video(images: list[Image]) -> None:
    upright = extracted(images, 0)
    for quarters in (1, 2, 3):
        turned = extracted(images, quarters)
        rolls = []
        for one, other in zip(upright, turned, strict=True):
            before, after = one.faces[0], other.faces[0]
            assert len(other.faces) == 1
            assert (after.track_id, after.restart) == (before.track_id, before.restart)
            rolls.append(after.roll - before.roll)
            back = np.rot90(other.labels, quarters)
            face = (one.labels > 0) | (back > 0)
            assert face.sum() > 1000
            assert (one.labels == back)[face].mean() > 0.96
        assert wrapped(mean_angle(rolls) - 90 * quarters) == pytest.approx(0, abs=4)
