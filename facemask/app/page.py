"""The page: what is on it, and what its buttons do."""

import html
import threading
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast

import gradio as gr
from starlette.middleware import Middleware

from facemask.app.extraction import Choices, Extractions, Result
from facemask.app.policy import ContentPolicy
from facemask.classes import CLASS_NAMES, PALETTE
from facemask.errors import InputError

_TEMPORAL: Final = (
    ("Window of five frames", "window"),
    ("Clips of five, as in the paper", "clip"),
    ("Memory of all frames before", "stream"),
    ("Single frames, smoothed", "smooth"),
    ("Single frames", "off"),
)
_TURNS: Final = (90, 180, 270)
_DETECTORS: Final = {"dlib": "dlib", "mediapipe": "MediaPipe"}
_DOWNLOADS: Final = {
    "overlay": "Masks over the video (MP4)",
    "csv": "Signals, frame by frame (CSV)",
    "labels": "Class ids as a video (MKV)",
    "npz": "Class ids as arrays (NPZ)",
    "plot": "Plot of the signals (PNG)",
}
_CAMERA: Final = {"video": {"width": {"ideal": 1280}, "height": {"ideal": 720}}}
_SECONDS_BETWEEN: Final = 0.3
"""From one message of the progress bar to the next."""
_CSS: Final = """
.gradio-container {
  width: 100% !important; max-width: 1180px !important; margin: 0 auto !important;
}
.video video { max-height: 320px; }
.video button[aria-label^="Trim"], .video button[aria-label^="Reset"] { display: none; }
.plot img { padding-top: 2.6rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.3rem 1.1rem; font-size: 0.9rem; }
.legend span { display: inline-flex; align-items: center; gap: 0.4rem; }
.legend i { width: 0.9rem; height: 0.9rem; border-radius: 3px; border: 1px solid #0004; }
"""


@dataclass
class _Visit:
    """State of one open page."""

    stop: threading.Event = field(default_factory=threading.Event)
    sentence: str = ""  # what was wrong at last


class _StoppedError(Exception):
    """Someone pressed Stop, or left the page."""


class Page:
    """A page with a video on one side and its masks on the other.

    Args:
        extractions: Does the work, for one visitor at a time; the others wait.
    """

    def __init__(self, extractions: Extractions) -> None:
        """Lay it out."""
        self._extractions = extractions
        self._visits: dict[str, _Visit] = {}
        self.blocks = gr.Blocks(title="facemask", analytics_enabled=False)
        with self.blocks:
            self._lay_out()

    def launch(self, host: str, port: int) -> str:
        """Serve the page in a thread of its own.

        Returns:
            Its address.
        """
        theme = gr.themes.Soft(
            primary_hue="teal",
            font=["system-ui", "sans-serif"],  # the default would be loaded
            font_mono=["ui-monospace", "monospace"],
        )
        _, url, _ = self.blocks.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            share=False,
            quiet=True,
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=False,
            pwa=False,
            footer_links=[],
            theme=theme,
            css=_CSS,
            app_kwargs={"middleware": [Middleware(cast("Any", ContentPolicy))]},
        )
        return str(url)

    def close(self) -> None:
        """End what is running, and the server."""
        for visit in list(self._visits.values()):
            visit.stop.set()
        self.blocks.close(verbose=False)

    def start(self, request: gr.Request) -> list[Any]:
        """Take away the results before, and show Stop in place of Extract."""
        self._visits[_session(request)] = _Visit()
        return [*_no_results(), *_buttons(running=True)]

    def extract(
        self,
        video: str | None,
        model: str,
        temporal: str,
        detector: str,
        cropped: bool,
        rotate: int,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # Gradio looks for it there
    ) -> list[Any]:
        """Extract the video, and show the results."""
        visit = self._visits.setdefault(_session(request), _Visit())
        if video is None:
            visit.sentence = "There is no video yet: drop one, or record one with the camera."
            raise gr.Error(visit.sentence, print_exception=False)
        shown = -1.0

        def on_frame(done: int, total: int | None) -> None:
            nonlocal shown
            if visit.stop.is_set():
                raise _StoppedError
            if time.monotonic() - shown > _SECONDS_BETWEEN:
                shown = time.monotonic()
                progress((done, None if total is None else max(done, total)), unit="frames")

        progress(0, desc="Reading the model")
        choices = Choices(model, temporal, detector, cropped, rotate)
        try:
            result = self._extractions.run(Path(video), choices, on_frame)
        except InputError as error:
            visit.sentence = str(error).replace(f"{Path(video).parent}/", "")
            raise gr.Error(visit.sentence, print_exception=False) from error
        except _StoppedError:
            gr.Info("Stopped: nothing was kept.")
            return _no_results()
        return [
            str(result.files["overlay"]),
            gr.update(visible=True, value=_summary(result, cropped)),
            gr.update(visible=True, value=str(result.files["plot"])),
            gr.update(visible=True),
            *(str(result.files[kind]) for kind in _DOWNLOADS),
        ]

    def end(self) -> list[Any]:
        """Show Extract again."""
        return _buttons(running=False)

    def fail(self, request: gr.Request) -> list[Any]:
        """Say what is wrong until the next try (Gradio's own message vanishes), and `end`."""
        visit = self._visits.get(_session(request), _Visit())
        sentence = visit.sentence or "Something went wrong: the terminal says more."
        return [gr.update(visible=True, value=html.escape(sentence)), *self.end()]

    def stop(self, request: gr.Request) -> None:
        """End this visitor's extraction at its next frame."""
        if visit := self._visits.pop(_session(request), None):
            visit.stop.set()

    def _lay_out(self) -> None:
        gr.Markdown("# Face masks\nA label for every pixel of every face, in every frame.")
        with gr.Row():
            with gr.Column(scale=5):
                video = gr.Video(
                    label="Video",
                    sources=["upload", "webcam"],
                    # to mirror, Gradio would call ffmpeg; its own wish is the largest picture
                    webcam_options=gr.WebcamOptions(mirror=False, constraints=_CAMERA),
                    elem_classes="video",
                )
                inputs = [video, *self._options()]
                extract = gr.Button("Extract", variant="primary", size="lg")
                stop = gr.Button("Stop", variant="stop", size="lg", visible=False)
            with gr.Column(scale=6):
                overlay = gr.Video(
                    label="Masks", interactive=False, autoplay=True, buttons=[],
                    elem_classes="video",
                )  # fmt: skip
                gr.HTML(_legend())
                numbers = gr.Markdown(visible=False)
                plot = gr.Image(
                    label="Signals over time", type="filepath", interactive=False, visible=False,
                    buttons=["fullscreen"], elem_classes="plot",
                )  # fmt: skip
                with gr.Column(visible=False) as downloads:
                    gr.Markdown("### Downloads")
                    files = [gr.DownloadButton(label, size="md") for label in _DOWNLOADS.values()]
        results = [overlay, numbers, plot, downloads, *files]
        buttons = [extract, stop]
        private: Final = "private"
        started = extract.click(
            self.start, None, [*results, *buttons], queue=False, show_progress="hidden",
            api_visibility=private,
        )  # fmt: skip
        done = started.then(
            self.extract, inputs, results, show_progress_on=overlay, concurrency_limit=1,
            api_visibility=private,
        )  # fmt: skip
        done.success(
            self.end, None, buttons, queue=False, show_progress="hidden", api_visibility=private
        )
        done.failure(
            self.fail, None, [numbers, *buttons], queue=False, show_progress="hidden",
            api_visibility=private,
        )  # fmt: skip
        stop.click(self.stop, None, None, queue=False, api_visibility=private)
        self.blocks.unload(self.stop)

    def _options(self) -> list[Any]:
        names = list(self._extractions.models)
        model = gr.Dropdown(names, value=names[0], label="Model", filterable=len(names) > 8)
        temporal = gr.Dropdown(
            list(_TEMPORAL), value="window", label="How frames help each other", filterable=False
        )
        installed = [(label, name) for name, label in _DETECTORS.items() if find_spec(name)]
        automatic = ("Automatic", "auto")
        detector = gr.Dropdown(
            [automatic, *installed], value="auto", label="Face detector", filterable=False
        )
        cropped = gr.Checkbox(
            False, label="The video is a face crop already", info="No detector is asked."
        )
        rotate = gr.Dropdown(
            [("As it is", 0), *((f"{degrees} degrees clockwise", degrees) for degrees in _TURNS)],
            value=0, label="Turn the video", filterable=False,
        )  # fmt: skip
        return [model, temporal, detector, cropped, rotate]


def _session(request: gr.Request) -> str:
    return str(request.session_hash)


def _no_results() -> list[Any]:
    hidden = gr.update(visible=False)
    return [None, hidden, hidden, hidden, *(None for _ in _DOWNLOADS)]


def _buttons(*, running: bool) -> list[Any]:
    return [gr.update(visible=not running), gr.update(visible=running)]


def _summary(result: Result, cropped: bool) -> str:
    """A table of the result's numbers, and what else is to be said of it."""
    roll = "–" if result.roll is None else f"{round(result.roll)}°"
    lines = [
        "| frames | with a face | unsure | turned clockwise by | frames/s |",
        "| ---: | ---: | ---: | ---: | ---: |",
        f"| {result.frames} | {100 * result.with_face / result.frames:.0f} % "
        f"| {100 * result.unsure / result.frames:.0f} % | {roll} "
        f"| {result.frames / max(result.seconds, 1e-9):.1f} |",
    ]
    if result.with_face == 0 and not cropped:
        lines += ["", "No face was found. If every frame is a face crop, tick the box for that."]
    if result.problem is not None:
        lines += ["", result.problem.replace("\n", " ")]
    return "\n".join(lines)


def _legend() -> str:
    """The classes and their colours, as HTML."""
    names = (name.replace("_", " ") for name in CLASS_NAMES[1:])
    colors = (f"rgb({r}, {g}, {b})" for r, g, b in PALETTE[1:].tolist())
    chips = zip(colors, names, strict=True)
    spans = (f'<span><i style="background:{color}"></i>{name}</span>' for color, name in chips)
    return f'<div class="legend">{"".join(spans)}</div>'
