"""Formulas as MathML, which browsers draw themselves: the site loads no script from elsewhere."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

# what the Markdown extension arithmatex makes of $$…$$ and $…$
FORMULA = re.compile(r'<(div|span) class="arithmatex">\\([\[(])(.*?)\\[\])]</\1>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:  # noqa: ANN401  # MkDocs calls it so
    """Replace the formulas of a page."""

    def to_mathml(match: re.Match[str]) -> str:
        display = "block" if match[2] == "[" else "inline"
        return str(convert(html.unescape(match[3]).strip(), display=display))

    return FORMULA.sub(to_mathml, content)
