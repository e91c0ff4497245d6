"""Three networks as one: the face first, then its eyes and its mouth, zoomed in."""

from facemask.models.cascade.cascade import Cascade
from facemask.models.cascade.clips import CascadeOutput
from facemask.models.cascade.settings import CascadeSettings

__all__ = ["Cascade", "CascadeOutput", "CascadeSettings"]
