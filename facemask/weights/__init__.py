"""Weights that come with the package, by name; others by file or Hugging Face repository."""

from facemask.weights.catalog import LicenceNotice, ShippedWeights, find_weights, shipped, verify

__all__ = ["LicenceNotice", "ShippedWeights", "find_weights", "shipped", "verify"]
