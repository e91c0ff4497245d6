"""Faces in raw video: detection, tracking and landmarks.

Everything is imported from its submodule, so that optional extras are needed only where used.
"""
