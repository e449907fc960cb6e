"""What the registries know: names, and the options of what has a name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, get_type_hints

from thalweg import data, nn, optim
from thalweg.cli.docstrings import argument_help

NAMES: dict[str, Callable[[], Collection[str]]] = {
    "data": data.known,
    "model": lambda: nn.MODELS,
    "optimizer": lambda: [name for name in optim.rules() if name not in optim.wrappers()],
    "wrap": lambda: [name for name in optim.wrappers() if name != "lookahead"],
    "schedule": optim.schedules,
    "loss": lambda: ["auto", *nn.LOSSES],
    "init": lambda: nn.INITS,
    "activation": lambda: nn.ACTIVATIONS,
    "norm": lambda: nn.NORMS,
    "output": lambda: nn.OUTPUTS,
}
"""What a setting may be called where it is a name."""


@dataclass(frozen=True)
class Declared:
    """What one registered thing declares of one of its options.

    Args:
        taker: The thing's name.
        key: The option's.
        kind: The type of its value.
        default: Its value when not given; ``dataclasses.MISSING`` if it must be given.
        help: What it means.
    """

    taker: str
    key: str
    kind: Any
    default: Any
    help: str


def declared(section: str) -> dict[str, list[Declared]]:
    """Return what a section's things declare of their options, by the option.

    Example:
        >>> [(each.taker, each.default) for each in declared("loss")["smoothing"]]
        [('label-smoothing', 0.1)]
    """
    found: dict[str, list[Declared]] = {}
    for each in _declared(section):
        found.setdefault(each.key, []).append(each)
    return found


def _declared(section: str) -> Iterator[Declared]:
    tables = {"optimizer": optim.hyperparameters, "schedule": optim.schedule_options}
    if section in tables:
        for name in [*NAMES[section](), *(NAMES["wrap"]() if section == "optimizer" else ())]:
            for key, kind, default, text, _ in tables[section](name):
                if key != "inner":
                    yield Declared(
                        name, key, tuple[int, ...] if kind is tuple else kind, default, text
                    )
    elif section == "model":
        for name, model in nn.MODELS.items():
            yield from _keywords(name, model.make, model.options)
    elif section == "loss":
        for name, loss in nn.LOSSES.items():
            yield from _keywords(name, loss, {})


def _keywords(
    taker: str, make: Callable[..., Any], chosen: Mapping[str, Any]
) -> Iterator[Declared]:
    """Read options with defaults off a signature and its docstring; ``chosen`` go before these."""
    hints = get_type_hints(make.__init__ if inspect.isclass(make) else make)
    texts = argument_help(make)
    for key, each in inspect.signature(make).parameters.items():
        if each.default is not each.empty:
            default = chosen.get(key, each.default)
            yield Declared(taker, key, hints[key], default, texts.get(key, ""))


def describe(found: Collection[Declared], everyone: Collection[str]) -> str:
    """Say what an option means, who takes it, and its default where the takers agree on one."""
    texts: dict[str, list[Declared]] = {}
    for each in found:
        texts.setdefault(each.help, []).append(each)
    return "; ".join(f"{text} ({_takers(group, everyone)})" for text, group in texts.items())


def _takers(found: Collection[Declared], everyone: Collection[str]) -> str:
    names = [each.taker for each in found]
    others = [name for name in everyone if name not in names]
    many = len(names) > 3 and len(others) <= 1
    text = f"all but {others[0]}" if many and others else "all" if many else ", ".join(names)
    defaults = {each.default for each in found}
    if len(defaults) > 1 or defaults & {None, False, MISSING}:
        return text
    return f"{text}; default: {defaults.pop()}"
