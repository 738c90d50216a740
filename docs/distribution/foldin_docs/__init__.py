"""The documentation of foldin as a folder of pages, which `foldin docs` serves."""

from pathlib import Path

__all__ = ["SITE"]

SITE = Path(__file__).parent / "site"
