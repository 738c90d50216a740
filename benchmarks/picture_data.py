"""The pictures that a script reads."""

import argparse

from foldin.data import Pictures, load_pictures

__all__ = ["pictures_of"]


def pictures_of(options: argparse.Namespace, name: str = "fashion-mnist") -> Pictures:
    """Pictures beside the other sets, where they are there, else by their name."""
    folder = options.data / name
    return load_pictures(folder if folder.is_dir() else name)
