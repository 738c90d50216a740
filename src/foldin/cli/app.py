"""The group of commands. A command's module is imported when the command is called, which keeps `--help` fast."""

import importlib

import click

__all__ = ["COMMANDS", "cli"]

COMMANDS = {
    "demo": "Run the main job on a real embedded data set, start to finish.",
    "data": "Describe a log and its problems; download public data sets.",
    "models": "List the models and their settings.",
    "fit": "Train one model and save it as a run directory.",
    "tune": "Search for the best settings of a model.",
    "compare": "Train and evaluate models side by side.",
    "evaluate": "Evaluate a finished run on its test users.",
    "explain": "Report the bound, its gap, the KL decomposition and the calibration of a run.",
    "recommend": "Recommend items to a new user or to a file of users.",
    "index": "Build an index over the items of a run, for lists from large catalogs.",
    "drift": "Compare the latest events with what a run was trained on.",
    "runs": "List the generations of a run in service, and go back to an earlier one.",
    "export": "Write a run as an ONNX graph, for runtimes without foldin.",
    "events": "Export, import and count the events of the service's database.",
    "items": "Export and import the items of the service's database.",
    "serve": "Serve trained runs over HTTP.",
    "keys": "Manage the API keys of the service.",
    "docs": "Open the documentation in a browser, without a network.",
    "completion": "Print the completion script for a shell.",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"foldin.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="foldin")
def cli() -> None:
    """Generative recommendation: learn what a user picks next, fold new users in with no retraining.

    \b
    Example:
      foldin demo
    """
