"""The page: its parts, the settings that they share, and the server."""

from importlib.util import find_spec
from typing import Any, Final, cast

import gradio as gr
from starlette.middleware import Middleware

from facemask.app import legend
from facemask.app.extraction import Extractions
from facemask.app.licence import card_of, licence_of
from facemask.app.live import LiveTab
from facemask.app.photo_tab import PhotoTab
from facemask.app.policy import ContentPolicy
from facemask.app.video_tab import VideoTab

_TURNS: Final = (90, 180, 270)
_DETECTORS: Final = {"dlib": "dlib", "mediapipe": "MediaPipe"}
_CSS: Final = """
.gradio-container {
  width: 100% !important; max-width: 1180px !important; margin: 0 auto !important;
}
.video video { max-height: 320px; }
.video button[aria-label^="Trim"], .video button[aria-label^="Reset"] { display: none; }
.plot img { padding-top: 2.6rem; }
.downloads button[aria-label^="Remove"] { display: none; }
.downloads .stem { max-width: none !important; white-space: normal; overflow-wrap: anywhere; }
"""


class Page:
    """A page with parts for videos, for photos and for a live camera.

    Args:
        extractions: Does the work, for one visitor at a time; the others wait.

    Attributes:
        video: The part for videos.
        photos: The part for photos.
        live: The part for a live camera.
    """

    def __init__(self, extractions: Extractions) -> None:
        """Lay it out."""
        self._extractions = extractions
        self.video = VideoTab(extractions)
        self.photos = PhotoTab(extractions)
        self.live = LiveTab(extractions)
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
            css=_CSS + legend.CSS,
            app_kwargs={"middleware": [Middleware(cast("Any", ContentPolicy))]},
        )
        return str(url)

    def close(self) -> None:
        """End what is running, and the server."""
        self.video.close()
        self.photos.close()
        self.blocks.close(verbose=False)

    def leave(self, request: gr.Request) -> None:
        """End all that a visitor has begun."""
        for part in (self.video, self.photos, self.live):
            part.stop(request)

    def about_model(self, name: str) -> list[Any]:
        """Return the licence of a model, and its card."""
        path = self._extractions.models.get(name)
        card = None if path is None else card_of(path)
        return [licence_of(name, path), gr.update(visible=card is not None), card or ""]

    def _lay_out(self) -> None:
        gr.Markdown("# Face masks\nA label for every pixel of every face, in every frame.")
        names = list(self._extractions.models)
        licence, has_card, text = self.about_model(names[0])
        with gr.Row():
            with gr.Column(scale=5):
                model = gr.Dropdown(names, value=names[0], label="Model", filterable=len(names) > 8)
                notice = gr.Markdown(licence)
            with gr.Column(scale=6):
                switches = legend.make_legend()
                with gr.Accordion("Face detector, and how faces lie", open=False):
                    options = self._options()
        settings = [model, *options]
        with gr.Tab("Video") as video:
            self.video.lay_out(settings, switches)
        with gr.Tab("Photos") as photos:
            self.photos.lay_out(settings, switches)
        with gr.Tab("Live camera") as live:
            seen = self.live.lay_out(settings, switches)
        with gr.Accordion("Model card", open=False, visible=has_card["visible"]) as about:
            card = gr.Markdown(text)
        unseen: dict[str, Any] = {
            "queue": False, "show_progress": "hidden", "api_visibility": "private",
        }  # fmt: skip
        model.change(self.about_model, model, [notice, about, card], **unseen)
        for other in (video, photos):
            other.select(self.live.leave, None, seen, **unseen)
        live.select(self.live.enter, None, seen, **unseen)
        self.blocks.unload(self.leave)

    def _options(self) -> list[Any]:
        installed = [(label, name) for name, label in _DETECTORS.items() if find_spec(name)]
        automatic = ("Automatic", "auto")
        detector = gr.Dropdown(
            [automatic, *installed], value="auto", label="Face detector", filterable=False
        )
        cropped = gr.Checkbox(
            False, label="Pictures are face crops already", info="No detector is asked."
        )
        rotate = gr.Dropdown(
            [("As they are", 0), *((f"{turn} degrees clockwise", turn) for turn in _TURNS)],
            value=0, label="Turn pictures", filterable=False,
        )  # fmt: skip
        return [detector, cropped, rotate]
