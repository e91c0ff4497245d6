"""Augmentation of training clips: geometry, colour, motion, and things before the face."""
