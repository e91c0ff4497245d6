"""The version at the foot of every page, and two checks.

The search finds what people ask for, and no page loads anything from elsewhere.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.exceptions import PluginError

from facemask import __version__

ASKED_FOR: Final = (
    "licence", "license", "blink", "photo", "fine-tun", "onnx", "hugging face", "notebook",
)  # fmt: skip
ELSEWHERE: Final = re.compile(
    r"""<(?:script|link(?! rel="canonical")|img|iframe)\b[^>]*(?:src|href)="""
    r"""["']?(?:https?:)?//[^>]*"""
)


def on_config(config: Any) -> Any:  # noqa: ANN401  # MkDocs has no types
    """Write the version at the foot."""
    config.copyright = f"facemask {__version__} · Apache-2.0"
    return config


def on_post_build(config: Any) -> None:  # noqa: ANN401
    """Stop the build if the search would not find a word, or a page loads from elsewhere."""
    index = json.loads(Path(config.site_dir, "search", "search_index.json").read_bytes())
    text = " ".join(f"{entry['title']} {entry['text']}" for entry in index["docs"]).lower()
    missing = [word for word in ASKED_FOR if word not in text]
    if missing:
        raise PluginError(f"the search finds nothing for {', '.join(missing)}")
    for page in Path(config.site_dir).rglob("*.html"):
        if found := ELSEWHERE.search(page.read_text("utf-8")):
            raise PluginError(f"{page.relative_to(config.site_dir)} loads {found[0]}")
