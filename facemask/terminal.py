"""Words and tables in the terminal, or in a pipe."""

from rich.console import Console
from rich.measure import Measurement
from rich.segment import Segments
from rich.table import Table


def console_for_words(*, stderr: bool = False) -> Console:
    """Return a console that prints words as they are, a sentence on one line of a pipe or a file.

    Args:
        stderr: Whether it prints on standard error rather than on standard output.
    """
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    console.soft_wrap = not console.is_terminal  # Rich takes a pipe for a terminal of 80 columns
    return console


def print_table(table: Table, console: Console | None = None) -> None:
    """Print a table that breaks lines between words only.

    Where a table is too wide, Rich shrinks the columns through names and numbers, or ends these in
    an ellipsis. Here a column is at least as wide as its longest word, and those with more to say
    share the rest. Where the words alone do not fit, the table is wider than the console.

    Args:
        table: The table; its columns get a fixed width.
        console: Where to print it. Default: standard output.
    """
    console = console or Console()
    endless = console.options.update(width=10_000)
    whole = Measurement.get(console, endless, table)
    sizes = []
    for column in table.columns:
        cells = [column.header, *column.cells, column.footer]
        measured = [Measurement.get(console, endless, cell) for cell in cells]
        sizes.append((max(m.minimum for m in measured), max(m.maximum for m in measured)))
    wishes = sum(longest - word for word, longest in sizes)
    needed = whole.maximum - wishes  # with a line for each word
    width = min(whole.maximum, max(needed, console.width))
    for column, (word, longest) in zip(table.columns, sizes, strict=True):
        share = (longest - word) * (width - needed) // wishes if wishes else 0
        column.width = word + share
    rendered = console.render(table, console.options.update(width=width))
    console.print(Segments(rendered), crop=False, end="")
