"""Removes reflections from one photo."""
