"""Pixels that are not square: faces are looked at on square ones, results have the input's."""

import csv
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import facemask.extraction.outputs
from facemask.boxes import Box
from facemask.extraction import FaceMaskExtractor, face_signals
from facemask.extraction.choices import SUFFIXES, output_paths
from facemask.extraction.outputs import Outputs, PartedOutputs
from facemask.tracking.boxes_file import BoxesFile
from facemask.tracking.detection import Detection
from facemask.tracking.tracker import TrackerSettings
from facemask.video.frames import SquarePixels
from facemask.video.look import Look
from facemask.video.reading import open_source
from tests.extraction.faces import Frames, Image, paint, paint_labels, reader
from tests.video.videos import turn

SIDE = 90.0
ASPECTS = [Fraction(3, 2), Fraction(2, 3), Fraction(16, 15), Fraction(64, 45)]
AS_THEY_LIE = TrackerSettings(upright=False)


class OneFace:
    """A detector that finds a painted face where it is on square pixels, and keeps what it saw."""

    def __init__(self, x: float, y: float) -> None:
        self.box, self.seen = Box.around(x, y, SIDE), (0, 0)

    def detect(self, image: Image) -> list[Detection]:
        self.seen = (image.shape[0], image.shape[1])
        return [Detection(self.box, 0.9)]


def square_labels() -> Image:
    return paint_labels(120, 180, 80, 60, SIDE)


def stored(labels: Image, aspect: Fraction) -> Image:
    """Of labels on square pixels what is kept in pixels of this shape: the centres' values."""
    height, width = labels.shape
    size = (round(width / max(aspect, 1)), round(height * min(aspect, 1)))
    columns = ((np.arange(size[0]) + 0.5) * width / size[0]).astype(int)
    rows = ((np.arange(size[1]) + 0.5) * height / size[1]).astype(int)
    return labels[np.ix_(rows, columns)]


class Stored(Frames):
    def __init__(self, images: list[Image], aspect: Fraction) -> None:
        super().__init__(images)
        self.fps, self.pixel_aspect = Fraction(25), aspect


@pytest.mark.parametrize("aspect", ASPECTS)
def test_faces_are_labelled_on_square_pixels(aspect: Fraction) -> None:
    labels = square_labels()
    expected = stored(labels, aspect)
    height, width = expected.shape
    detector = OneFace(80, 60)
    extractor = FaceMaskExtractor(reader(), detector, device="cpu", tracking=AS_THEY_LIE)
    square = next(extractor.video(Frames([paint(labels)]))).faces[0]
    frame = next(extractor.video(Stored([paint(expected)], aspect)))
    squares = SquarePixels.of(height, width, aspect)
    assert detector.seen == (squares.height, squares.width)
    assert abs(detector.seen[0] - 120) <= 1
    assert abs(detector.seen[1] - 180) <= 1
    assert frame.image.shape == (height, width, 3)
    assert frame.labels.shape == frame.alpha.shape == (height, width)
    assert (frame.labels == expected).mean() > 0.985
    (face,) = frame.faces
    # its box is of the input's pixels, as wide on the screen as it is high
    assert face.box.width == pytest.approx(SIDE / squares.x, abs=2)
    assert face.box.height == pytest.approx(SIDE / squares.y, abs=2)
    assert face.crop_labels.shape == (face.box.height, face.box.width)
    np.testing.assert_array_equal(
        frame.labels[face.box.top : face.box.bottom, face.box.left : face.box.right],
        face.crop_labels,
    )
    np.testing.assert_allclose(face.crop_probabilities.sum(axis=0), 1, atol=1e-5)
    assert face.confidence == pytest.approx(square.confidence, abs=0.1)
    of_square, of_stored = face_signals(square), face_signals(face)
    for name in ("left_eye_opening", "right_eye_opening", "mouth_opening"):
        assert of_stored[name] == pytest.approx(of_square[name], rel=0.1)
    share = height * width / labels.size  # areas count the input's pixels
    assert of_stored["area_skin"] == pytest.approx(share * of_square["area_skin"], rel=0.03)


def test_nothing_changes_for_pixels_that_are_square_enough() -> None:
    for aspect in (Fraction(1), Fraction(1215, 1216), Fraction(1, 1000), Fraction(300)):
        assert not SquarePixels.of(48, 64, aspect).changes
    squares = SquarePixels.of(48, 64, Fraction(3, 2))
    assert (squares.height, squares.width, squares.pixel_aspect) == (48, 96, 1.5)
    # the centre of pixel (10, 7) has the edge coordinates (10.5, 7.5)
    point = squares.points(np.array([[10.0, 7.0]]))
    np.testing.assert_allclose(point, [[15.25, 7.0]])
    np.testing.assert_allclose(squares.stored_points(point), [[10.0, 7.0]])


def test_boxes_that_are_given_are_of_the_input(tmp_path: Path) -> None:
    aspect = Fraction(3, 2)
    expected = stored(square_labels(), aspect)
    left, right = (80 - SIDE / 2) / 1.5, (80 + SIDE / 2) / 1.5
    (tmp_path / "b.csv").write_text(f"frame,left,top,right,bottom\n0,{left},15,{right},105\n")
    extractor = FaceMaskExtractor(reader(), BoxesFile(tmp_path / "b.csv"), device="cpu")
    frame = next(extractor.video(Stored([paint(expected)], aspect)))
    assert (frame.labels == expected).mean() > 0.985
    box = frame.faces[0].box
    assert (box.left, box.top, box.right, box.bottom) == (23, 15, 84, 105)


def write_squeezed(path: Path, images: list[Image], aspect: Fraction) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, options={"crf": "4"})
        height, width = images[0].shape[:2]
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv444p"
        stream.codec_context.sample_aspect_ratio = aspect
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("parted", [False, True])
def test_every_output_has_the_inputs_shape(
    tmp_path: Path, parted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facemask.extraction.outputs, "PART_FRAMES", 2)
    expected = stored(square_labels(), Fraction(3, 2))
    video = write_squeezed(tmp_path / "a.mp4", [paint(expected)] * 5, Fraction(3, 2))
    paths = output_paths(tmp_path / "out", "a", list(SUFFIXES))
    detector = OneFace(80, 60)
    extractor = FaceMaskExtractor(
        reader(), detector, device="cpu", temporal="smooth", tracking=AS_THEY_LIE
    )
    with open_source(video) as source:
        assert source.pixel_aspect == Fraction(3, 2)
        opened: Outputs | PartedOutputs = (
            PartedOutputs(paths, source, Look(), {}, False)
            if parted
            else Outputs(paths, source, Look())
        )
        with opened as outputs:
            for frame in extractor.video(source):
                outputs.write(frame)
    for kind in ("overlay", "side-by-side", "alpha", "labels"):
        with av.open(str(paths[kind])) as container:
            stream = container.streams.video[0]
            assert stream.sample_aspect_ratio == Fraction(3, 2), kind
            assert (stream.height, stream.width) == (120, 240 if kind == "side-by-side" else 120)
            decoded = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
        assert len(decoded) == 5
    with np.load(paths["npz"]) as arrays:
        labels = arrays["000003"]
    assert (labels == expected).mean() > 0.985
    np.testing.assert_array_equal(decoded[2], labels)
    image = cv2.imread(str(paths["png"] / "000003.png"), cv2.IMREAD_UNCHANGED)
    assert image is not None
    assert image.shape[:2] == labels.shape
    rows = list(csv.DictReader(paths["csv"].open()))
    left, right = (float(rows[2][name]) for name in ("left", "right"))
    columns = np.flatnonzero((labels > 0).any(axis=0))
    assert left <= columns[0] < columns[-1] < right


def test_turned_by_metadata_too(tmp_path: Path) -> None:
    upright = stored(square_labels(), Fraction(2, 3))  # pixels higher than wide once upright
    lying = np.ascontiguousarray(np.rot90(paint(upright)))
    plain = write_squeezed(tmp_path / "a.mp4", [lying], Fraction(3, 2))
    detector = OneFace(80, 60)
    extractor = FaceMaskExtractor(reader(), detector, device="cpu", tracking=AS_THEY_LIE)
    with open_source(turn(plain, (0, 1, -1, 0))) as source:  # clockwise
        assert source.pixel_aspect == Fraction(2, 3)
        frame = next(extractor.video(source))
    assert detector.seen == (120, 180)
    assert (frame.labels == upright).mean() > 0.98
