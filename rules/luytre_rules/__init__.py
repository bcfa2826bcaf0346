"""The shipped detection rules, as data: `FOLDER` holds the YAML files."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
