"""Chunks of several pieces, as those of large logs."""

import importlib

import pytest


@pytest.fixture(autouse=True)
def several_pieces(monkeypatch):
    """Chunks of several pieces, the last one smaller than the others."""
    module = importlib.import_module("foldin.data.shards.prepare")  # a function of that name is beside it
    monkeypatch.setattr(module, "_PIECE", 97)
    monkeypatch.setattr(module, "_READ_TOGETHER", 5)
