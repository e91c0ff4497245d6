"""Another tool on a video or on photos, run by the Python of that tool's own environment.

    PYTHON benchmarks/peers.py speed mediapipe|dlib|rvm CLIP [--rvm CHECKOUT]
    PYTHON benchmarks/peers.py points mediapipe|dlib PHOTOS OUT.npz

Started by other_tools.py; needs NumPy, OpenCV and the tool. `speed` prints frames a second and
milliseconds of processor time a frame without the first ten, decoding by OpenCV included, nothing
drawn or written, and in what share of the frames there was a face. `points` writes 68 points (x, y)
in pixels of each face of every picture of a folder, an array (faces, 68, 2) a picture.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
WARM_UP = 10

# the points of MediaPipe's mesh that are usually taken for those of 300-W; its outline of the face
# is another one, so that jaw and brows are near them at best
OF_MESH = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,  # brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # lips, outside
    78, 82, 13, 312, 308, 317, 14, 87,  # lips, inside
)  # fmt: skip


def mediapipe_mesh(still: bool) -> Callable[[Image], Points]:
    """Return MediaPipe's attention mesh: points (faces, 478, 2) of an RGB picture."""
    import mediapipe

    mesh = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=still, max_num_faces=5 if still else 1, refine_landmarks=True
    )

    def find(picture: Image) -> Points:
        faces = mesh.process(picture).multi_face_landmarks or []
        points = [[(point.x, point.y) for point in face.landmark] for face in faces]
        return np.reshape(points, (-1, 478, 2)) * picture.shape[1::-1]

    return find


def dlib_points() -> Callable[[Image], Points]:
    """Return dlib's detector of frontal faces and its points (faces, 68, 2), of an RGB picture."""
    import dlib

    models = find_spec("face_recognition_models")  # its import needs an older setuptools
    if models is None or models.origin is None:
        raise SystemExit("pip install face-recognition-models")
    file = Path(models.origin).parent / "models" / "shape_predictor_68_face_landmarks.dat"
    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(file))

    def find(picture: Image) -> Points:
        shapes = [predictor(picture, face).parts() for face in detector(picture, 0)]
        points = [[(part.x, part.y) for part in parts] for parts in shapes]
        return np.reshape(np.array(points, np.float64), (-1, 68, 2))

    return find


def matting(checkout: Path) -> Callable[[Image], Points]:
    """Return RobustVideoMatting's MobileNetV3 network with random weights, at half resolution."""
    import torch

    import facemask  # noqa: F401  # mends a torchvision that was built for another torch

    sys.path.insert(0, str(checkout))
    from model import MattingNetwork  # type: ignore[import-not-found]  # the checkout's

    network = MattingNetwork("mobilenetv3").eval()
    memory: list[torch.Tensor | None] = [None] * 4

    def find(picture: Image) -> Points:
        frame = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
        with torch.inference_mode():
            _, alpha, *memory[:] = network(frame, *memory, 0.5)
        return np.asarray(alpha[0], np.float64)

    return find


def frames(clip: str) -> Iterator[Image]:
    video = cv2.VideoCapture(clip)
    while True:
        there, picture = video.read()
        if not there:
            return
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def speed(find: Callable[[Image], Points], clip: str) -> None:
    found, count, start, busy = 0, 0, 0.0, 0.0
    for count, picture in enumerate(frames(clip), start=1):
        found += len(find(picture)) > 0
        if count == WARM_UP:
            start, busy = time.perf_counter(), time.process_time()
    measured = count - WARM_UP
    seconds, cpu = time.perf_counter() - start, time.process_time() - busy
    print(measured / seconds, 1000 * cpu / measured, found / count)


def points(find: Callable[[Image], Points], photos: Path, out: Path, mesh: bool) -> None:
    found: dict[str, Any] = {}
    for path in sorted(photos.glob("*.png")):
        read = cv2.imread(str(path))
        if read is None:
            raise SystemExit(f"{path} is no picture")
        picture = cv2.cvtColor(read, cv2.COLOR_BGR2RGB)
        faces = find(picture.astype(np.uint8, copy=False))
        found[path.stem] = faces[:, list(OF_MESH)] if mesh else faces
    np.savez(out, **found)


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("speed", "points"))
    parser.add_argument("tool", choices=("mediapipe", "dlib", "rvm"))
    parser.add_argument("source")
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--rvm", type=Path, default=Path("RobustVideoMatting"))
    options = parser.parse_args()
    if options.what == "points":
        mesh = options.tool == "mediapipe"
        find = mediapipe_mesh(still=True) if mesh else dlib_points()
        points(find, Path(options.source), options.out, mesh)
    elif options.tool == "rvm":
        speed(matting(options.rvm), options.source)
    else:
        find = mediapipe_mesh(still=False) if options.tool == "mediapipe" else dlib_points()
        speed(find, options.source)


if __name__ == "__main__":
    main()
