"""The paper's tables and figures from what `facemask test` recorded."""

from facemask.report.command import report

__all__ = ["report"]
