"""The errors whose message is meant for people: one sentence saying what is wrong and what to do."""

from __future__ import annotations


class LimpidError(Exception):
    """Base of every error that may be shown as it is; its text is a sentence, never a traceback."""


class ModelError(LimpidError):
    """A model is unknown, altered, missing, unsafe, or cannot be fetched."""


class AlteredModelError(ModelError):
    """A model's files are not the ones whose SHA-256 is on record."""


class MemoryShortError(LimpidError):
    """Memory ran out even with the smallest tiles."""
