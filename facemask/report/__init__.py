"""Records that `facemask test` writes of every frame, and tables and figures of them."""

from facemask.report.frame_table import FrameTable
from facemask.report.record import Record, Run, find_run, read_run
from facemask.report.sequence_table import SequenceTable

__all__ = ["FrameTable", "Record", "Run", "SequenceTable", "find_run", "read_run"]
