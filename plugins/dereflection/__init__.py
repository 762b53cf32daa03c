"""Removal of reflections from one photo."""
