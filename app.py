"""Limpid. `python app.py` serves the page, the API and MCP; `python app.py restore …` is the command line."""

import sys

from interface.interrupt import end_in_one_line

if __name__ == "__main__":
    end_in_one_line()  # first, since the imports take their time
    from interface.cli import main

    sys.exit(main())
