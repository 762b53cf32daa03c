"""Errors whose message is for users: a sentence that says what is wrong and what to do."""

from __future__ import annotations

import errno


class LimpidError(Exception):
    """Base of all errors whose text may be shown to users as it is."""


class ModelError(LimpidError):
    """A model is unknown, altered, missing, unsafe, or cannot be fetched."""


class AlteredModelError(ModelError):
    """A model's files are not the ones whose SHA-256 is on record."""


class MemoryShortError(LimpidError):
    """Memory ran out even with the smallest tiles."""


def is_full_disk(error: BaseException | None) -> bool:
    """Return True for an error of a full disk or a used-up quota, also where it is the cause of another error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
