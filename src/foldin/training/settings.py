"""The settings of a configuration as data: for the command line, the documentation and tests."""

import dataclasses
import typing
from typing import Any

from foldin.training.config import Config, Option, options_of
from foldin.training.ranges import Range
from foldin.training.search import setting_text

__all__ = ["alike", "settings_of"]


def settings_of(kind: type[Config], before: str = "", given: Config | None = None) -> dict[str, dict[str, Any]]:
    """Description of each setting, by its name in `--set`.

    It has the `default`, the meaning (`help`), what a search draws from (`range`), the `options` that the setting chooses among,
    and, for a setting of options (`with`), its default in each of these, by the setting that chooses one of them.

    Args:
        kind: class of the configuration.
        before: prefix of each name.
        given: configuration whose values are taken as defaults; those of the class when None.
    """
    found: dict[str, dict[str, Any]] = {}
    types = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        name, options = before + field.name, options_of(types[field.name])
        default: Any = field.default if given is None else getattr(given, field.name)
        names = field.metadata.get("names")
        if names is not None:
            default = tuple(names.name_of(type(one)) for one in default)
        about: dict[str, Any] = {"default": _plain(default), "help": field.metadata["help"]}
        searched = field.metadata["range"]
        if searched is not None:
            about["range"] = str(searched) if isinstance(searched, Range) else "|".join(map(setting_text, searched))
        may_be_none = type(None) in typing.get_args(types[field.name])
        if len(options) > 1 or (options and may_be_none):
            about["options"] = {way: (option.__doc__ or "").split("\n")[0] for way, option in options.items()}
        found[name] = about
        inner: dict[str, dict[str, Any]] = {}
        for way, option in options.items():
            own = default if type(default) is option else None
            for setting, one in settings_of(option, f"{name}.", own).items():
                kept = inner.setdefault(setting, {**one, "with": dict(one.get("with", {}))})
                kept["with"].setdefault(name, {})[way] = one["default"]
        for one in inner.values():
            if one["with"][name].keys() == options.keys() and not may_be_none and alike(one["with"][name]):
                del one["with"][name]
        found |= inner
    return found


def alike(defaults: dict[str, Any]) -> bool:
    """Whether all options that a setting belongs to have the same default for it."""
    return len({repr(default) for default in defaults.values()}) == 1


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, Option) else value
