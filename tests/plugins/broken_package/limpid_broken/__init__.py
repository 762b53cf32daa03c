"""What a plugin looks like whose own dependency is missing."""

import a_library_nobody_has  # noqa: F401


class Broken:
    pass
