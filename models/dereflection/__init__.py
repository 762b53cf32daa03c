"""Removal of reflections from one photo, after *Dereflection Any Image* (arXiv 2503.17347)."""
