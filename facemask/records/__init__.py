"""What `facemask test` writes about every frame, and reading it back."""

from facemask.records.read import Run, find_run, read_run
from facemask.records.record import Record
from facemask.records.sequences import SequenceTable
from facemask.records.table import FrameTable

__all__ = ["FrameTable", "Record", "Run", "SequenceTable", "find_run", "read_run"]
