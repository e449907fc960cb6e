"""The spec's settings as options, made from its fields and from what the registries declare."""

from __future__ import annotations

from argparse import SUPPRESS, BooleanOptionalAction
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from thalweg.cli.kinds import convert, members, placeholder
from thalweg.cli.parser import Namespace, Parser
from thalweg.cli.registered import NAMES, declared, describe
from thalweg.engine import short_keys
from thalweg.spec import SECTIONS, LookaheadSpec, Spec, parse_setting


@dataclass(frozen=True)
class Setting:
    """A setting that the command line offers.

    Args:
        key: Its dotted or short key in `Spec.override`.
        section: The section that it belongs to; ``run`` for those outside.
        kind: The type of its value.
        help: What it means.

    Example:
        >>> lr = next(each for each in settings() if each.key == "lr")
        >>> lr.section, lr.flag, lr.read("1e-3")
        ('optimizer', '--lr', 0.001)
    """

    key: str
    section: str
    kind: Any
    help: str

    @property
    def flag(self) -> str:
        """The option."""
        return f"--{self.key.replace('_', '-')}"

    @property
    def words(self) -> tuple[str, ...]:
        """The values that it may have, where these are known words."""
        if self.key in NAMES:
            return tuple(NAMES[self.key]())
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    def add_to(self, group: Any) -> None:
        """Add the option to a group of a parser."""
        common = {"dest": self.key, "default": SUPPRESS, "help": self.help.replace("%", "%%")}
        if self.kind in {bool, LookaheadSpec}:
            group.add_argument(self.flag, action=BooleanOptionalAction, **common)
        else:
            metavar = "NAME" if self.key in NAMES else placeholder(self.kind)
            group.add_argument(self.flag, metavar=metavar, **common)

    def read(self, given: str | bool) -> Any:
        """Return what was given as the setting's type where it fits."""
        if self.kind is LookaheadSpec:
            return {} if given else None  # with its defaults, or not at all
        return given if isinstance(given, bool) else convert(self.kind, given)


def settings() -> Iterator[Setting]:
    """Yield every setting of a spec, but for the source of the data, which needs no option."""
    homes = short_keys()
    for section, kind in SECTIONS.items():
        if "name" in kind.model_fields:
            what = kind.model_fields["name"]
            text = f"{what.description}: {', '.join(NAMES[section]())}"
            yield Setting(section, section, str, f"{text} (default: {what.default})")
        yield from _fields(kind, section, skip=("name", "source"))
        for key, found in declared(section).items():
            if homes.get(key) == section:
                text = describe(found, NAMES[section]())
                known = f": {', '.join(NAMES[key]())}" if key in NAMES else ""
                yield Setting(key, section, found[0].kind, text.replace(" (", f"{known} (", 1))
    yield from _fields(Spec, "run", skip=tuple(SECTIONS))


def add_settings(parser: Parser, *sections: str, skip: Collection[str] = ()) -> None:
    """Add the options of the settings to a parser, those of each section in a group.

    Args:
        parser: The parser.
        sections: Only these sections, and without the names of their things.
        skip: Keys of settings that have no option here.
    """
    groups: dict[str, Any] = {}
    for setting in settings():
        if sections and (setting.section not in sections or setting.key in sections):
            continue
        if setting.key in skip:
            continue
        if setting.section not in groups:
            groups[setting.section] = parser.add_argument_group(setting.section)
        setting.add_to(groups[setting.section])
    parser.add_argument_group("any setting").add_argument(
        *("-s", "--set"),
        dest="settings",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting by its key, as in -s optimizer.lr=0.01; repeatable, and the last word",
    )


def read_settings(arguments: Namespace, spec: Spec) -> Spec:
    """Return a spec with what was given on the command line; ``-s`` goes last.

    Raises:
        SpecError: A value that does not fit, or an unknown key.
    """
    given, homes = vars(arguments), short_keys()
    changes = {each.key: each.read(given[each.key]) for each in settings() if each.key in given}
    return spec.override(changes, homes).override(
        dict(map(parse_setting, arguments.settings)), homes
    )


def _fields(kind: type[BaseModel], section: str, skip: Collection[str] = ()) -> Iterator[Setting]:
    """Yield the settings that are fields of the spec."""
    for key, field in kind.model_fields.items():
        if key in skip:
            continue
        text, default = field.description or "", field.default
        if LookaheadSpec in members(field.annotation):
            yield Setting(key, section, LookaheadSpec, text)
            for inner in _fields(LookaheadSpec, section):
                yield replace(inner, key=f"{key}.{inner.key}")
        else:
            if default not in (None, False, ()):
                shown = ",".join(default) if isinstance(default, tuple) else default
                text += f" (default: {'yes' if shown is True else shown})"
            yield Setting(key, section, field.annotation, text)
