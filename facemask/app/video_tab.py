"""The part of the page that takes a video."""

from pathlib import Path
from typing import Any, Final

import gradio as gr

from facemask.app.extraction import Choices, Result, redraw
from facemask.app.legend import in_order
from facemask.app.sample import sample_clip
from facemask.app.tab import StoppedError, Tab

_TEMPORAL: Final = (
    ("Window of five frames", "window"),
    ("Clips of five, as in the paper", "clip"),
    ("Memory of all frames before", "stream"),
    ("Single frames, smoothed", "smooth"),
    ("Single frames", "off"),
)
_DOWNLOADS: Final = {
    "overlay": "Masks over the video (MP4)",
    "csv": "Signals, frame by frame (CSV)",
    "labels": "Class ids as a video (MKV)",
    "npz": "Class ids as arrays (NPZ)",
    "plot": "Plot of the signals (PNG)",
}
CAMERA: Final = {"video": {"width": {"ideal": 1280}, "height": {"ideal": 720}}}


class VideoTab(Tab):
    """A video on one side, and its masks on the other."""

    def lay_out(self, settings: list[Any], legend: gr.CheckboxGroup) -> None:
        """Add the parts to the page.

        Args:
            settings: Model, detector, whether pictures are face crops, and degrees to turn them.
            legend: The switches of the classes.
        """
        with gr.Row():
            with gr.Column(scale=5):
                video = gr.Video(
                    label="Video",
                    sources=["upload", "webcam"],
                    # to mirror, Gradio would call ffmpeg; its own wish is the largest picture
                    webcam_options=gr.WebcamOptions(mirror=False, constraints=CAMERA),
                    elem_classes="video",
                )
                sample = gr.Button("Try a made-up face", size="sm")
                temporal = gr.Dropdown(
                    list(_TEMPORAL), value="window", label="How frames help each other",
                    filterable=False,
                )  # fmt: skip
                actions = gr.Column()
            with gr.Column(scale=6):
                overlay = gr.Video(
                    label="Masks", interactive=False, autoplay=True, buttons=[],
                    elem_classes="video",
                )  # fmt: skip
                numbers = gr.Markdown(visible=False)
                plot = gr.Image(
                    label="Signals over time", type="filepath", interactive=False, visible=False,
                    buttons=["fullscreen"], elem_classes="plot",
                )  # fmt: skip
                with gr.Column(visible=False) as downloads:
                    gr.Markdown("### Downloads")
                    files = [gr.DownloadButton(label, size="md") for label in _DOWNLOADS.values()]
        sample.click(self.sample, None, video, api_visibility="private")
        with actions:
            self.connect(
                self.extract, self.redraw, inputs=[video, temporal, *settings, legend],
                results=[overlay, numbers, plot, downloads, *files], drawn=[overlay, files[0]],
                said=numbers, legend=legend,
            )  # fmt: skip

    def no_results(self) -> list[Any]:
        """Return what takes results away."""
        hidden = gr.update(visible=False)
        return [None, hidden, hidden, hidden, *(None for _ in _DOWNLOADS)]

    def sample(self) -> str:
        """Return a clip to try."""
        return str(sample_clip(self.extractions.folder))

    def extract(
        self,
        video: str | None,
        temporal: str,
        model: str,
        detector: str,
        cropped: bool,
        rotate: int,
        shown: list[str],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # Gradio looks for it there
    ) -> list[Any]:
        """Extract the video, and show the results."""
        visit = self.visit(request)
        if video is None:
            visit.sentence = "There is no video yet: drop one, or record one with the camera."
            raise gr.Error(visit.sentence, print_exception=False)
        progress(0, desc="Reading the model")
        choices = Choices(model, temporal, detector, cropped, rotate)
        on_frame, visit.shown = visit.reporter(progress, "frames"), in_order(shown)
        try:
            with visit.errors_told([Path(video)]):
                result = self.extractions.run(Path(video), choices, on_frame, visit.shown)
        except StoppedError:
            gr.Info("Stopped: nothing was kept.")
            return self.no_results()
        visit.result = result
        files = {
            kind: str(result.files[kind]) if kind in result.files else None for kind in _DOWNLOADS
        }
        return [
            files["overlay"],
            gr.update(visible=True, value=_summary(result, cropped)),
            gr.update(visible=files["plot"] is not None, value=files["plot"]),
            gr.update(visible=True),
            *(gr.update(visible=file is not None, value=file) for file in files.values()),
        ]

    def redraw(
        self,
        shown: list[str],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        """Show the overlay with these classes, where there is a result."""
        visit, classes = self.visit(request), in_order(shown)
        if visit.result is None or visit.shown == classes:
            return [gr.skip(), gr.skip()]
        try:
            with visit.errors_told([visit.result.video]):
                path = redraw(visit.result, classes, visit.reporter(progress, "frames"))
        except StoppedError:  # another extraction has begun
            return [gr.skip(), gr.skip()]
        visit.shown = classes
        return [str(path), str(path)]


def _summary(result: Result, cropped: bool) -> str:
    """A table of the result's numbers, and what else is to be said of it."""
    roll = "–" if result.roll is None else f"{round(result.roll)}°"
    unsure = "–" if result.unsure is None else f"{100 * result.unsure / result.frames:.0f} %"
    lines = [
        "| frames | with a face | unsure | turned clockwise by | frames/s |",
        "| ---: | ---: | ---: | ---: | ---: |",
        f"| {result.frames} | {100 * result.with_face / result.frames:.0f} % "
        f"| {unsure} | {roll} "
        f"| {result.frames / max(result.seconds, 1e-9):.1f} |",
    ]
    if result.with_face == 0 and not cropped:
        lines += ["", "No face was found. If every frame is a face crop, tick the box for that."]
    if result.problem is not None:
        lines += ["", result.problem.replace("\n", " ")]
    return "\n".join(lines)
