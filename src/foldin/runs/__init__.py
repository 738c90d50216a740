"""Run directories: saved, loaded, verified, exported; generations of a run with a pointer to the current one."""

from foldin.runs.contents import check_target, is_finished, read_info
from foldin.runs.export import export_onnx
from foldin.runs.generations import Generation, add_generation, generations, roll_back
from foldin.runs.new_items import WithNewItems, known_of_larger
from foldin.runs.recommends import Parts, Recommends
from foldin.runs.remote import is_url, local_run, name_of_run, without_secrets
from foldin.runs.run import Run
from foldin.runs.store import load_run, save_run, weights_info
from foldin.runs.stored_index import add_index, index_facts, load_index, save_index

__all__ = [
    "Generation",
    "Parts",
    "Recommends",
    "Run",
    "WithNewItems",
    "add_generation",
    "add_index",
    "check_target",
    "export_onnx",
    "generations",
    "index_facts",
    "is_finished",
    "is_url",
    "known_of_larger",
    "load_index",
    "load_run",
    "local_run",
    "name_of_run",
    "read_info",
    "roll_back",
    "save_index",
    "save_run",
    "weights_info",
    "without_secrets",
]
