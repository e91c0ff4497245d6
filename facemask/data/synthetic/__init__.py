"""Synthetic face videos with exact landmarks, in the layout of 300VW.

A procedural 3-D face with an identity, a pose and an expression is drawn frame by frame. Its
eyes, lips and mouth are filled inside the very curves that `facemask.data.masks` makes the mask
of, so picture and landmarks agree to a fraction of a pixel. It is for trying the whole pipeline
without a data set; numbers measured on it say nothing about real faces.
"""

from facemask.data.synthetic.render import SyntheticVideo, render_video
from facemask.data.synthetic.writer import synthesize

__all__ = ["SyntheticVideo", "render_video", "synthesize"]
