"""Options that several commands share."""

from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Any, TypeVar

import click

from foldin.data import FOLD_INS, FORMATS, PROTOCOLS, REPEATS, ReadOptions, Source
from foldin.errors import ConfigError

__all__ = [
    "DEVICE",
    "JSON",
    "SEED",
    "ModelName",
    "column_options",
    "fit_options",
    "log_options",
    "read_options",
    "settings_of",
    "source_of",
    "split_options",
    "training_options",
]

SEED = click.IntRange(0, 2**63 - 1)  # what random generators take
F = TypeVar("F", bound=Callable[..., Any])

DEVICE = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Device to compute on: cpu, cuda, mps, or auto for a GPU where there is one.",
)
JSON = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Whether to print one JSON object on standard output and nothing else.",
)


class ModelName(click.ParamType):
    """Name of a model in `foldin.models.MODELS`."""

    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from foldin.models import MODELS

        if value not in MODELS:
            self.fail(f"{value!r} is not one of {', '.join(MODELS)}", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        from foldin.models import MODELS

        names = {name: config for name, config in MODELS.usable().items() if name.startswith(incomplete)}
        return [CompletionItem(name, help=config.model_class.summary) for name, config in names.items()]


def _stack(function: F, options: list[Callable[[F], F]]) -> F:
    for option in reversed(options):
        function = option(function)
    return function


# Types of the options of reading that do not take arbitrary text.
_READ_TYPES = {
    "format": click.Choice(FORMATS),
    "repeats": click.Choice(REPEATS),
    "min_rating": click.FLOAT,
    "dislike_below": click.FLOAT,
}
# Options that may be repeated, with the name that each of their values has.
_REPEATED = {"weights": "weight"}


def _read_option(option: Field[Any]) -> Callable[[F], F]:
    repeated = option.name in _REPEATED
    return click.option(
        f"--{_REPEATED.get(option.name, option.name).replace('_', '-')}",
        option.name,
        type=_READ_TYPES.get(option.name),
        multiple=repeated,
        default=option.default,
        show_default=option.default is not None,
        metavar=option.metadata["show"] or None,
        help=option.metadata["help"],
    )


_OF_COLUMNS = ("format", "encoding", "user", "item", "time", "rating", "kind", "time_format")


def column_options(function: F) -> F:
    """Add the options of reading the columns of a file, which drop no event."""
    return _stack(function, [_read_option(one) for one in fields(ReadOptions) if one.name in _OF_COLUMNS])


def log_options(function: F) -> F:
    """Add the options of reading a log, without filters."""
    return _stack(function, list(map(_read_option, fields(ReadOptions))))


def read_options(function: F) -> F:
    """Add the options of reading and filtering a log."""
    return _stack(
        function,
        [
            *map(_read_option, fields(ReadOptions)),
            click.option(
                "--item-events",
                type=click.IntRange(1),
                default=1,
                show_default=True,
                help="Minimum number of events of an item; items with fewer are dropped.",
            ),
            click.option(
                "--core",
                is_flag=True,
                help="Whether to repeat the minimum filters on users and items until both hold (a k-core).",
            ),
            click.option(
                "--users",
                metavar="FILE",
                help="File of features of the users, or its URL, for the protocol cold-users and for models that read them.",
            ),
        ],
    )


def split_options(function: F) -> F:
    """Add the options of splitting a log."""
    return _stack(
        function,
        [
            click.option(
                "--protocol",
                type=click.Choice(PROTOCOLS),
                help="Protocol that holds out users or events  [default: given for a folder that is split already, else strong]",
            ),
            click.option(
                "--held-out",
                type=float,
                default=0.1,
                show_default=True,
                help="Share (below 1) or number of users, or of events, held out for validation, and as many for the test.",
            ),
            click.option(
                "--fold-in",
                type=click.Choice(FOLD_INS),
                default="train",
                show_default=True,
                help="Events by which test users are folded in, for a folder of train, valid and test: their training events, "
                "or all events before the test events.",
            ),
            click.option(
                "--targets",
                multiple=True,
                metavar="KIND",
                help="Kind of the events that may be targets, such as buy; events of all kinds are seen. May be repeated.",
            ),
            click.option(
                "--min-events",
                type=click.IntRange(1),
                help="Minimum number of events of a user; users with fewer are dropped  [default: 5; last-out 3]",
            ),
            click.option(
                "--split-seed",
                type=SEED,
                default=0,
                show_default=True,
                help="Seed of the split: which users are held out, and which of their events are targets.",
            ),
        ],
    )


def training_options(function: F) -> F:
    """Add the options of a training."""
    return _stack(
        function,
        [
            click.option(
                "--seed", type=SEED, default=0, show_default=True, help="Seed of initial weights and of training."
            ),
            click.option(
                "--epochs", type=click.IntRange(1), help="Maximum number of epochs  [default: the model's setting]"
            ),
            click.option(
                "--patience",
                type=click.IntRange(1),
                default=20,
                show_default=True,
                help="Number of epochs without an improvement of the validation metric after which training stops.",
            ),
            click.option(
                "--metric", default="ndcg@100", show_default=True, help="Validation metric that chooses the best epoch."
            ),
            DEVICE,
        ],
    )


def fit_options(function: F) -> F:
    """Add the options of training a model for good."""
    calibrate = click.option(
        "--calibrate",
        is_flag=True,
        help="Whether to fit a temperature on the validation users that turns scores into calibrated probabilities.",
    )
    return training_options(calibrate(function))


def source_of(path: str, values: Mapping[str, Any]) -> Source:
    """The source that a command's options describe."""
    names = set(Source.__dataclass_fields__) - {"path", "seed"}
    given = {name: value for name, value in values.items() if name in names}
    return Source(path=path, seed=values.get("split_seed", 0), **given)


def settings_of(texts: tuple[str, ...], option: str = "--set") -> dict[str, str]:
    """Texts `field=value` of an option as a mapping.

    Raises:
        ConfigError: a text without "=".
    """
    settings = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise ConfigError(f"{option} {text!r}: FIELD=VALUE was expected")
        settings[name.strip()] = value.strip()
    return settings
