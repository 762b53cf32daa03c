"""What the command lines of training share."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import LimpidError


class Command(argparse.ArgumentParser):
    """A parser of options that is described by the docstring of its module."""

    def __init__(self, description: str | None) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)

    @contextmanager
    def reporting(self, *kinds: type[Exception]) -> Iterator[None]:
        """End the program with code 2 and the message of an error for users (LimpidError, ``kinds``) in the block."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, (LimpidError, *kinds)):
                raise
            self.exit(2, f"{error}\n")
