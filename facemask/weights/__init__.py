"""Weights that come with the package, by name; others by file or Hugging Face repository."""

from facemask.weights.catalog import ShippedWeights, shipped, verify
from facemask.weights.find import LicenceNotice, find_weights

__all__ = ["LicenceNotice", "ShippedWeights", "find_weights", "shipped", "verify"]
