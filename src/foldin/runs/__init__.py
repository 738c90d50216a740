"""Run directories: saved, loaded, verified, exported."""

from foldin.runs.export import export_onnx
from foldin.runs.recommends import Parts, Recommends
from foldin.runs.remote import is_url, local_run, name_of_run, without_secrets
from foldin.runs.store import Run, check_target, is_finished, load_run, save_run, verify_run

__all__ = [
    "Parts",
    "Recommends",
    "Run",
    "check_target",
    "export_onnx",
    "is_finished",
    "is_url",
    "load_run",
    "local_run",
    "name_of_run",
    "save_run",
    "verify_run",
    "without_secrets",
]
