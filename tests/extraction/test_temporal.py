"""What each way to use time computes, against calling the cascade on the clips it stands for."""

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from facemask.boxes import Crop
from facemask.classes import NUM_CLASSES
from facemask.errors import InputError, Notice
from facemask.extraction import ExtractedFace, ExtractedFrame, FaceMaskExtractor, Temporal
from facemask.extraction.temporal import smooth_frames
from facemask.models import Cascade, ConvLSTMFCN
from facemask.models.smoothing import TemporalSmoothing
from facemask.tracking.detectors import CroppedFrames
from facemask.turned import TurnedBox
from tests.extraction.faces import Frames, Image, random_cascade, random_images

IMAGES = random_images(23)  # more than are labelled together


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return random_cascade()


def extracted(cascade: Cascade, temporal: Temporal, images: list[Image]) -> list[ExtractedFrame]:
    extractor = FaceMaskExtractor(
        cascade, CroppedFrames(), temporal=temporal, device="cpu", precision="float32"
    )
    return list(extractor.video(Frames(images)))


def on_clip(cascade: Cascade, images: Sequence[Image]) -> list[np.ndarray]:
    """Probabilities of each frame of one clip."""
    frames = [torch.from_numpy(image.transpose(2, 0, 1).copy()) for image in images]
    with torch.inference_mode():
        output = cascade([frames], True)
    assert output.probabilities is not None
    return [frame.numpy() for frame in output.probabilities[0]]


def expected(cascade: Cascade, temporal: Temporal) -> list[np.ndarray]:
    if temporal == "window":
        return [on_clip(cascade, IMAGES[max(0, t - 4) : t + 1])[-1] for t in range(len(IMAGES))]
    if temporal == "stream":
        return on_clip(cascade, IMAGES)
    length = 5 if temporal == "clip" else 1
    clips = [IMAGES[t : t + length] for t in range(0, len(IMAGES), length)]
    return [frame for clip in clips for frame in on_clip(cascade, clip)]


@pytest.mark.parametrize("temporal", ["clip", "window", "stream", "off"])
def test_frames_are_labelled_from_the_clips_they_stand_for(
    cascade: Cascade, temporal: Temporal
) -> None:
    frames = extracted(cascade, temporal, IMAGES)
    assert [frame.index for frame in frames] == list(range(len(IMAGES)))
    for frame, probabilities in zip(frames, expected(cascade, temporal), strict=True):
        np.testing.assert_allclose(frame.faces[0].probabilities, probabilities, atol=1e-4)
        assert (frame.labels == frame.faces[0].probabilities.argmax(0)).mean() > 0.999


def test_the_ways_differ(cascade: Cascade) -> None:
    seventh = {
        mode: extracted(cascade, mode, IMAGES)[6].faces[0].probabilities
        for mode in ("clip", "window", "stream", "smooth", "off")
    }
    for mode, values in seventh.items():
        others = [other for name, other in seventh.items() if name != mode]
        assert all(np.abs(values - other).max() > 1e-4 for other in others), mode


def test_a_stream_gives_what_a_video_gives(cascade: Cascade) -> None:
    for temporal in ("window", "stream", "off"):
        extractor = FaceMaskExtractor(
            cascade, CroppedFrames(), temporal=temporal, device="cpu", precision="float32"
        )
        stream = extractor.stream()
        of_video = extracted(cascade, temporal, IMAGES)
        for attempt in range(2):  # reset() forgets all
            for image, frame in zip(IMAGES, of_video, strict=True):
                live = stream.step(image)
                assert live.index == frame.index
                np.testing.assert_allclose(
                    live.faces[0].probabilities, frame.faces[0].probabilities, atol=1e-4
                )
            stream.reset()
            assert attempt < 2


def test_the_memory_starts_anew_when_the_face_returns(cascade: Cascade) -> None:
    class Gone:
        """Frame 3 has no face."""

        def faces(self, frame: int, image: Image) -> dict[int, TurnedBox]:
            return {} if frame == 3 else CroppedFrames().faces(frame, image)

    for temporal in ("clip", "window", "stream"):
        extractor = FaceMaskExtractor(
            cascade, Gone(), temporal=temporal, device="cpu", precision="float32"
        )
        frames = list(extractor.video(Frames(IMAGES[:6])))
        assert [len(frame.faces) for frame in frames] == [1, 1, 1, 0, 1, 1]
        assert [f.faces[0].restart for f in frames if f.faces] == [True, False, False, True, False]
        second = on_clip(cascade, IMAGES[4:6]) if temporal != "clip" else None
        first = on_clip(cascade, [IMAGES[4]])[0]
        np.testing.assert_allclose(frames[4].faces[0].probabilities, first, atol=1e-4)
        if second is not None:
            np.testing.assert_allclose(frames[5].faces[0].probabilities, second[1], atol=1e-4)


def face(box: Crop, probability: float, *, restart: bool = False) -> ExtractedFace:
    """A face whose every pixel is skin with this probability, in a frame of 4 × 6 pixels."""
    values = np.zeros((NUM_CLASSES, box.height, box.width), dtype=np.float32)
    values[0], values[1] = 1 - probability, probability
    labels = values.argmax(0).astype(np.uint8)
    return ExtractedFace(7, box, 1.0, restart, (4, 6), labels, values)


def frames_of(faces: list[ExtractedFace | None]) -> list[ExtractedFrame]:
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    return [ExtractedFrame(n, n / 25, image, [f] if f else []) for n, f in enumerate(faces)]


def test_smoothing_follows_the_pixels_of_moving_boxes() -> None:
    left, right = Crop(0, 0, 3, 3), Crop(1, 1, 4, 4)
    frames = frames_of([face(left, 0.9, restart=True), face(right, 0.5), face(right, 0.2)])
    smoothed = list(smooth_frames(iter(frames), TemporalSmoothing()))
    near, far = np.exp(-0.5 / 0.36), np.exp(-2 / 0.36)
    skin = smoothed[1].faces[0].crop_probabilities[1]
    total = 1 + 2 * near
    assert skin[0, 0] == pytest.approx((0.5 + near * (0.9 + 0.2)) / total, abs=1e-6)
    assert skin[2, 2] == pytest.approx((0.5 + near * 0.2) / total, abs=1e-6)  # outside the first
    first = smoothed[0].faces[0].crop_probabilities[1]
    total = 1 + near + far
    assert first[2, 2] == pytest.approx((0.9 + near * 0.5 + far * 0.2) / total, abs=1e-6)
    assert first[0, 0] == pytest.approx(0.9 / total, abs=1e-6)
    for frame in smoothed:
        np.testing.assert_allclose(frame.faces[0].crop_probabilities.sum(0), 1, atol=1e-6)


def test_smoothing_stops_at_gaps_and_cuts() -> None:
    box = Crop(0, 0, 2, 2)
    probabilities = [0.9, 0.8, None, 0.7, 0.6, 0.1]
    begins = {0, 3, 5}
    frames = frames_of(
        [None if p is None else face(box, p, restart=n in begins)
         for n, p in enumerate(probabilities)]
    )  # fmt: skip
    smoothed = list(smooth_frames(iter(frames), TemporalSmoothing()))
    assert [frame.index for frame in smoothed] == list(range(6))
    near = np.exp(-0.5 / 0.36)
    skin = [f.faces[0].crop_probabilities[1, 0, 0] if f.faces else None for f in smoothed]
    assert skin[0] == pytest.approx((0.9 + near * 0.8) / (1 + near), abs=1e-6)
    assert skin[2] is None
    assert skin[4] == pytest.approx((0.6 + near * 0.7) / (1 + near), abs=1e-6)
    assert skin[5] == pytest.approx(0.1, abs=1e-6)


def test_unknown_ways_are_refused(cascade: Cascade) -> None:
    with pytest.raises(InputError, match="temporal is 'clips': give one of clip, window, stream"):
        FaceMaskExtractor(cascade, CroppedFrames(), temporal="clips")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="precision is 'fp8'"):
        FaceMaskExtractor(cascade, CroppedFrames(), precision="fp8")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="device 'gpu0' cannot be used here"):
        FaceMaskExtractor(cascade, CroppedFrames(), device="gpu0")


def test_a_memory_that_nothing_bounds_is_not_carried_on_without_a_word(cascade: Cascade) -> None:
    free = Cascade(ConvLSTMFCN("mobilenetv3_small_050"), settings=cascade.settings).eval()
    with pytest.warns(Notice, match=r"memory that nothing bounds \(primary: .* take 'window'"):
        FaceMaskExtractor(free, CroppedFrames(), temporal="clip", device="cpu").stream()
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        extracted(cascade, "stream", IMAGES[:1])
        extracted(free, "window", IMAGES[:1])
