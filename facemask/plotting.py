"""Figures by matplotlib, an optional extra."""

import io
import textwrap
from typing import TYPE_CHECKING, Final

from facemask._distribution import pip_install
from facemask.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI: Final = 110
# told apart with any colour vision (Okabe and Ito 2008); the baseline comes first
_COLORS: Final = ("#0072B2", "#D55E00", "#999999", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def check_matplotlib() -> None:
    """Raise an `InputError` unless matplotlib is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"Figures are drawn with matplotlib, which is not installed: {pip_install('plot')}."
        ) from error


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of this size in inches, without a window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def literal(name: str, width: int = 24) -> str:
    r"""Return a name so that matplotlib shows it unchanged, in lines of `width` characters.

    Examples:
        >>> literal("loss in $")
        'loss in \\$'
    """
    text = textwrap.fill(name, width).replace("$", r"\$")  # $ would begin a formula
    return f"\u200b{text}" if text.startswith("_") else text  # _ would hide it from the legend


def to_png(figure: "Figure") -> bytes:
    """Return the figure as the content of a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    return content.getvalue()


def run_colors(count: int) -> list[str]:
    """Return a colour for each run; from the eighth on they repeat."""
    return [_COLORS[i % len(_COLORS)] for i in range(count)]
