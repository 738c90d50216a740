"""Run directories: saved, loaded, verified, exported."""

from foldin.runs.export import export_onnx
from foldin.runs.recommends import Parts, Recommends
from foldin.runs.store import Run, check_target, is_finished, load_run, save_run

__all__ = ["Parts", "Recommends", "Run", "check_target", "export_onnx", "is_finished", "load_run", "save_run"]
