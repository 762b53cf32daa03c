"""Limpid's plugins and the host that runs them."""

__version__ = "0.1.0"
