import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "losses.md"


@pytest.mark.filterwarnings("ignore")
def test_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(snippets) == 4
    names: dict[str, Any] = {}
    for snippet in snippets:
        exec(snippet, names)  # one after another, as a reader would
    gradients = [parameter.grad for parameter in names["model"].parameters()]
    assert any(gradient is not None and gradient.any() for gradient in gradients)
