"""Networks as files that other runtimes than PyTorch run."""

from facemask.export.folder import export_networks, read_manifest

__all__ = ["export_networks", "read_manifest"]
