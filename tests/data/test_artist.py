import numpy as np
import numpy.typing as npt
import pytest

from facemask.data.artist import Thing, cover, glasses, hand, microphone

SKIN = np.array([200.0, 150, 120])


def enlarged(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return points * 30 + (80.0, 60.0)


@pytest.mark.parametrize(
    "thing",
    [
        hand(np.random.default_rng(1), SKIN),
        glasses(np.random.default_rng(1), 0.5),
        microphone(np.random.default_rng(1)),
    ],
)
def test_bytes_and_floats_are_covered_alike(thing: Thing) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    before, canvas = image.copy(), image.astype(np.float32)
    drawn, painted = cover(image, thing, enlarged, 30.0), cover(canvas, thing, enlarged, 30.0)
    assert drawn.dtype == np.uint8
    assert painted.dtype == np.float32
    np.testing.assert_array_equal(image, before)
    assert np.abs(drawn - painted).max() <= 1.5  # each of two sums is rounded
    assert 0.02 < (np.abs(drawn - image.astype(int)).max(axis=2) > 8).mean() < 0.9


def test_light_falls_on_the_thing_alone() -> None:
    white = np.full((120, 160, 3), 255, np.uint8)
    thing = hand(np.random.default_rng(2), SKIN, sleeve=SKIN)
    bright, dim = (
        cover(white, thing, enlarged, 30.0, light=(factor, 1.0, 1.0)) for factor in (1.0, 0.5)
    )
    np.testing.assert_array_equal(bright[..., 1:], dim[..., 1:])
    assert np.abs(dim[60, 80, 0] - bright[60, 80, 0] / 2) <= 1  # the middle of the hand
    assert (dim[bright[..., 0] == 255] == 255).all()


def test_out_of_sight_nothing_is_drawn() -> None:
    image = np.zeros((50, 60, 3), np.uint8)
    far = microphone(np.random.default_rng(0))
    assert cover(image, far, lambda points: points + 5000, 1.0) is image


def test_what_is_asked_for_is_drawn() -> None:
    image = np.full((120, 160, 3), 255, np.uint8)
    for seed in range(5):
        clear, dark = (
            cover(image, glasses(np.random.default_rng(seed), 0.5, dark=dark), enlarged, 30.0)
            for dark in (False, True)
        )
        assert np.median(dark[60:65, 60:70]) < 130 < np.median(clear[60:65, 60:70])
