"""The part of the page that takes photos."""

import html
import shutil
from pathlib import Path
from typing import Any

import gradio as gr

from facemask.app.extraction import Choices
from facemask.app.legend import in_order
from facemask.app.photos import PhotoResult, label_photos, redraw, zipped
from facemask.app.sample import find_portrait
from facemask.app.tab import StoppedError, Tab, without_folders


class PhotoTab(Tab):
    """Photos on one side, and their masks on the other."""

    def lay_out(self, settings: list[Any], legend: gr.CheckboxGroup) -> None:
        """Add the parts to the page; arguments as of `VideoTab.lay_out`."""
        with gr.Row():
            with gr.Column(scale=5):
                photos = gr.File(label="Photos", file_count="multiple", height=200)
                sample = gr.Button("Try a portrait", size="sm", visible=find_portrait() is not None)
                actions = gr.Column()
            with gr.Column(scale=6):
                overlays = gr.Gallery(
                    label="Masks", interactive=False, preview=True, object_fit="contain",
                    buttons=["fullscreen"], height=420,
                )  # fmt: skip
                numbers = gr.Markdown(visible=False)
                files = gr.File(
                    label="Downloads", interactive=False, visible=False, elem_classes="downloads"
                )
                everything = gr.DownloadButton("All of them (ZIP)", size="md", visible=False)
        sample.click(self.sample, None, photos, api_visibility="private")
        with actions:
            self.connect(
                self.extract, self.redraw, inputs=[photos, *settings, legend],
                results=[overlays, numbers, files, everything], said=numbers, legend=legend,
                drawn=[overlays, files, everything],
            )  # fmt: skip

    def no_results(self) -> list[Any]:
        """Return what takes results away."""
        hidden = gr.update(visible=False)
        return [gr.update(value=[], selected_index=None), hidden, hidden, hidden]

    def sample(self) -> list[str]:
        """Return a photo to try."""
        portrait = find_portrait()
        folder = str(self.extractions.folder)  # Gradio shows files from there
        return [] if portrait is None else [str(shutil.copy(portrait, folder))]

    def extract(
        self,
        photos: list[str] | None,
        model: str,
        detector: str,
        cropped: bool,
        rotate: int,
        shown: list[str],
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # Gradio looks for it there
    ) -> list[Any]:
        """Label the photos, and show the results."""
        visit = self.visit(request)
        if not photos:
            visit.sentence = "There is no photo yet: drop one or several."
            raise gr.Error(visit.sentence, print_exception=False)
        progress(0, desc="Reading the model")
        paths = [Path(photo) for photo in photos]
        choices = Choices(model, "off", detector, cropped, rotate)
        on_photo, visit.shown = visit.reporter(progress, "photos"), in_order(shown)
        try:
            with visit.errors_told(paths):
                result = label_photos(self.extractions, paths, choices, on_photo, visit.shown)
        except StoppedError:
            gr.Info("Stopped: nothing was kept.")
            return self.no_results()
        visit.result = result
        overlays, *others = _drawn(result, visit.shown)
        overlays["selected_index"] = 0
        summary = without_folders(_summary(result, cropped), paths)
        return [overlays, gr.update(visible=True, value=summary), *others]

    def redraw(self, shown: list[str], request: gr.Request) -> list[Any]:
        """Show the overlays with these classes, where there is a result."""
        visit, classes = self.visit(request), in_order(shown)
        if visit.result is None or visit.shown == classes:
            return [gr.skip(), gr.skip(), gr.skip()]
        with visit.errors_told([Path(str(job.source)) for job in visit.result.jobs]):
            redraw(visit.result, classes)
        visit.shown = classes
        return _drawn(visit.result, classes)


def _drawn(result: PhotoResult, shown: tuple[str, ...]) -> list[Any]:
    """Return the gallery, the files and the ZIP."""
    named = zip(result.overlays[shown], result.jobs, strict=True)
    return [
        gr.update(value=[(str(path), Path(str(job.source)).name) for path, job in named]),
        gr.update(visible=True, value=[str(path) for path in result.files(shown)]),
        gr.update(visible=True, value=str(zipped(result, shown))),
    ]


def _summary(result: PhotoResult, cropped: bool) -> str:
    """A table of the result's numbers, and what else is to be said of it."""
    unsure = "–" if result.unsure is None else result.unsure
    lines = [
        "| photos | with a face | unsure |",
        "| ---: | ---: | ---: |",
        f"| {len(result.jobs)} | {result.with_face} | {unsure} |",
    ]
    if result.with_face == 0 and not cropped:
        lines += ["", "No face was found. If every photo is a face crop, tick the box for that."]
    for problem in result.problems:
        lines += ["", html.escape(problem)]
    return "\n".join(lines)
