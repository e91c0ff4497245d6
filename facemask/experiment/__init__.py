"""Whole recipes of trainings and tests: `facemask experiment`."""

from facemask.experiment.command import experiment

__all__ = ["experiment"]
