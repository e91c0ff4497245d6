#!/usr/bin/env bash
# Guess: an option of type Optional[Union[int, float]] takes "1" as the int 1, as its author ordered it,
#   whatever else the program has imported.
# Seen: jsonargparse 4.53.0 on Python 3.11: if any module imported before wrote Optional[Union[float, int]], "1" becomes
#   1.0. Python's typing keeps one object for both spellings, with the order of the first, and
#   jsonargparse tries the members in that order. A union that is alone so far gives 1.
# So: where the type of a number is its meaning, as in pytorch-lightning's limit_train_batches (1 is one
#   batch, 1.0 all of them), look at the value that arrived, or give 2.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install "jsonargparse==4.53.0"
cat > "$folder/see.py" <<'PY'
import sys
from typing import Optional, Union

if sys.argv[1] == "after":
    elsewhere = Optional[Union[float, int]]  # in whatever was imported first

from jsonargparse import ArgumentParser


def train(limit_train_batches: Optional[Union[int, float]] = None):
    pass


parser = ArgumentParser()
parser.add_function_arguments(train)
print(repr(parser.parse_args(["--limit_train_batches=1"]).limit_train_batches))
PY
alone=$("$folder/venv/bin/python" "$folder/see.py" alone)
after=$("$folder/venv/bin/python" "$folder/see.py" after)
echo "int first: $alone, after another module's float first: $after"
[ "$alone $after" = "1 1.0" ]
