"""The classes with their colours, and a switch for each."""

from collections.abc import Sequence
from typing import Final

import gradio as gr

from facemask.app.extraction import Shown
from facemask.classes import CLASS_NAMES, FACE_CLASSES, PALETTE

_CHIPS: Final = "\n".join(
    f".legend label:nth-of-type({place}) {{ --chip: rgb({r}, {g}, {b}); }}"
    for place, (r, g, b) in enumerate(PALETTE[[*map(CLASS_NAMES.index, FACE_CLASSES)]].tolist(), 1)
)
CSS: Final = f"""
{_CHIPS}
.legend input + span::before {{
  content: ""; display: inline-block; width: 0.9rem; height: 0.9rem; border-radius: 3px;
  background: var(--chip); border: 1px solid #0004; margin-right: 0.4rem; vertical-align: -0.1rem;
}}
"""


def make_legend() -> gr.CheckboxGroup:
    """Return the switches, all on."""
    return gr.CheckboxGroup(
        [(name.replace("_", " "), name) for name in FACE_CLASSES],
        value=list(FACE_CLASSES),
        label="Classes in the overlay",
        elem_classes="legend",
    )


def in_order(shown: Sequence[str]) -> Shown:
    """Return the classes that are on in the order of their ids, whatever that of the clicks."""
    return tuple(name for name in FACE_CLASSES if name in shown)
