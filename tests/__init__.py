"""Tests; they mirror the tree."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
