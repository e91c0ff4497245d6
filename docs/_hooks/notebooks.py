"""Notebooks as pages of the site: their text, their code and the outputs stored with them."""

import re
from pathlib import PurePosixPath
from typing import Any, Final

from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

STYLE: Final = re.compile(r"<style scoped>.*?</style>\n", re.DOTALL)
TABLE: Final = '<table border="1" class="dataframe">'
"""What pandas writes; without both, a table looks like the other pages' ones."""


def on_files(files: Files, config: Any) -> Files:  # noqa: ANN401  # MkDocs has no types
    """Add a page for each notebook, and its pictures; the notebook itself is there to download."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        path = PurePosixPath(file.src_uri)
        names = {"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
        text, resources = MarkdownExporter().from_filename(file.abs_src_path, resources=names)
        text = STYLE.sub("", text).replace(TABLE, "<table>")
        text += f"\n[Download this notebook]({path.name}){{ .md-button download }}\n"
        files.append(File.generated(config, str(path.with_suffix(".md")), content=text))
        for name, data in resources["outputs"].items():
            files.append(File.generated(config, str(path.parent / name), content=data))
    return files
