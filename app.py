"""Limpid. `python app.py` serves the page, the API and MCP; `python app.py restore …` is the command line."""

import sys

from interface.cli import main

if __name__ == "__main__":
    sys.exit(main())
