"""The part of the page that labels a camera's pictures as they come."""

import base64
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import gradio as gr
import numpy as np
import numpy.typing as npt

from facemask.app.extraction import Choices, Extractions
from facemask.app.legend import in_order
from facemask.app.tab import WORK, session_of
from facemask.errors import InputError
from facemask.extraction.extractor import FaceMaskStream
from facemask.extraction.results import numbers_of
from facemask.naming import counted
from facemask.video.look import Look

_CAMERA: Final = {"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}}
_EVERY: Final = 1 / 30
"""Seconds from one picture to the next, where the networks are fast enough."""
_HINT: Final = "Every picture is labelled with the memory of those before, and none is kept."
_PAUSE: Final = 2.0
"""Seconds without a picture after which another stream begins."""
_QUALITY: Final = 85


@dataclass
class _Stream:
    """A camera that runs."""

    about: tuple[Any, ...]
    masks: FaceMaskStream
    begin: float = field(default_factory=time.monotonic)
    shown: deque[float] = field(default_factory=lambda: deque(maxlen=30))

    @property
    def frames_a_second(self) -> float | None:
        """Measured from the first to the last picture of those shown at last."""
        if len(self.shown) < 2:
            return None
        return (len(self.shown) - 1) / max(self.shown[-1] - self.shown[0], 1e-9)


class LiveTab:
    """A camera on one side, and its masks on the other; nothing is written.

    Args:
        extractions: Has the model.
    """

    def __init__(self, extractions: Extractions) -> None:
        self._extractions = extractions
        self._streams: dict[str, _Stream] = {}

    def lay_out(self, settings: list[Any], legend: gr.CheckboxGroup) -> list[Any]:
        """Add the parts to the page; arguments as of `VideoTab.lay_out`.

        Returns:
            What `enter` and `leave` change: the camera, which stops when it is made invisible, its
            masks, and a line of text.
        """
        with gr.Row():
            with gr.Column():
                camera = gr.Image(
                    label="Camera", sources=["webcam"], streaming=True, type="numpy",
                    webcam_options=gr.WebcamOptions(mirror=False, constraints=_CAMERA),
                    visible=False,  # until `enter`, whose answer would turn a camera off again
                )  # fmt: skip
            with gr.Column():
                masks = gr.Image(label="Masks", interactive=False, buttons=[])
        speed = gr.Markdown(_HINT)
        camera.stream(
            self.step, [camera, *settings, legend], [masks, speed], stream_every=_EVERY,
            concurrency_limit=1, concurrency_id=WORK, show_progress="hidden",
            # Gradio would write a file for each picture
            postprocess=False, api_visibility="private",
        )  # fmt: skip
        return [camera, masks, speed]

    def step(
        self,
        picture: npt.NDArray[np.uint8] | None,
        model: str,
        detector: str,
        cropped: bool,
        rotate: int,
        shown: list[str],
        request: gr.Request,
    ) -> tuple[dict[str, Any] | None, str]:
        """Label the next picture."""
        if picture is None:
            return None, ""
        picture = np.ascontiguousarray(np.rot90(picture, -rotate // 90))
        choices = Choices(model, "stream", detector, cropped, rotate)
        try:
            stream = self._stream(session_of(request), choices, picture.shape)
            frame = stream.masks.step(picture, time.monotonic() - stream.begin)
        except InputError as error:
            raise gr.Error(str(error), print_exception=False) from error
        painted = Look(shown=in_order(shown)).paint(frame.image, frame.labels, numbers_of(frame))
        stream.shown.append(time.monotonic())
        speed = stream.frames_a_second
        count = len(frame.faces)
        faces = "no face" if count == 0 else counted(count, "face")
        return _as_url(painted), faces if speed is None else f"**{speed:.1f} frames/s**, {faces}"

    def enter(self) -> list[Any]:
        """Show the camera."""
        return [gr.update(visible=True), None, _HINT]

    def leave(self, request: gr.Request) -> list[Any]:
        """Stop the camera, since another part of the page is looked at."""
        self.stop(request)
        return [gr.update(visible=False), None, _HINT]

    def stop(self, request: gr.Request) -> None:
        """Forget this visitor's faces."""
        self._streams.pop(session_of(request), None)

    def _stream(self, session: str, choices: Choices, shape: tuple[int, ...]) -> _Stream:
        about = (choices, shape)
        stream = self._streams.get(session)
        paused = (
            stream is not None and stream.shown and (time.monotonic() - stream.shown[-1] > _PAUSE)
        )
        if stream is None or stream.about != about or paused:
            stream = _Stream(about, self._extractions.extractor(choices).stream())
            self._streams[session] = stream
        return stream


def _as_url(picture: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Return a picture as Gradio's page takes one that is in no file."""
    quality = (cv2.IMWRITE_JPEG_QUALITY, _QUALITY)
    data = cv2.imencode(".jpg", picture[..., ::-1], quality)[1].tobytes()
    return {"path": None, "url": f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"}
