"""Landmarks of own videos, from which `facemask prepare` makes a data set."""
