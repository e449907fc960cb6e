"""The rules by name."""

from __future__ import annotations

from typing import Any, TypeVar

from thalweg.errors import SpecError, nearest
from thalweg.optim.foreign import build_foreign
from thalweg.optim.options import Option, check, options_of
from thalweg.optim.rule import Rule

R = TypeVar("R", bound=type[Rule])

_RULES: dict[str, type[Rule]] = {}


def register(rule: R) -> R:
    """Make a rule known by its name; a class decorator.

    Raises:
        SpecError: Another rule has the name.
    """
    claim(_RULES, rule, "optimizer")
    return rule


def claim(taken: dict[str, Any], new: Any, what: str) -> None:
    """Enter a class by its name; a module that is loaded again may replace its own.

    Raises:
        SpecError: A class from elsewhere has the name.
    """
    old = taken.setdefault(new.name, new)
    if (old.__module__, old.__qualname__) != (new.__module__, new.__qualname__):
        raise SpecError(
            f"a second {what} named {new.name}", "a name of its own", f"{old.__module__} has it"
        )
    taken[new.name] = new


def rules() -> dict[str, type[Rule]]:
    """Return all known rules by name.

    Example:
        >>> rules()["madgrad"].paper
        'Defazio & Jelassi 2021, arXiv:2101.11075'
    """
    return dict(sorted(_RULES.items()))


def wrappers() -> list[str]:
    """Return the names of the rules that go around another one.

    Example:
        >>> "sam" in wrappers(), "adam" in wrappers()
        (True, False)
    """
    return [name for name, rule in rules().items() if wraps(rule)]


def wraps(rule: type[Rule]) -> bool:
    """Tell whether a rule goes around another one."""
    return any(each.type is Rule for each in options_of(rule))


def find(name: str) -> type[Rule]:
    """Return the rule of that name.

    Raises:
        SpecError: There is none.
    """
    if name not in _RULES:
        raise SpecError(f"optimizer {name!r}", "an optimizer by name", nearest(name, _RULES))
    return _RULES[name]


def hyperparameters(name: str) -> list[Option]:
    """List what can be set on a rule: name, type, default, help and range.

    Raises:
        SpecError: There is no such rule.

    Example:
        >>> for each in hyperparameters("adam"):
        ...     print(each.name, each.default, each.range)
        lr 0.001 [0, inf)
        beta1 0.9 [0, 1)
        beta2 0.999 [0, 1)
        eps 1e-08 [0, inf)
        weight_decay 0.0 [0, inf)
    """
    return list(options_of(find(name)))


def build(name: str, **hyperparameters: Any) -> Rule:
    """Make a rule; this is where hyperparameters are validated.

    Args:
        name: Which rule; or the dotted name of any ``torch.optim.Optimizer`` class, such as
            ``torch.optim.RMSprop``, which then takes its own options.
        hyperparameters: Its hyperparameters. Each number may be a float64 tensor of shape (K, 1),
            with one value for each of K members.

    Raises:
        SpecError: The rule or a hyperparameter is unknown, or a value is not allowed.

    Example:
        >>> build("lookahead", inner=build("madgrad", lr=1.7e-4), k=4, alpha=0.8).hyper()["lr"]
        0.00017
    """
    if "." in name:
        return build_foreign(name, hyperparameters)
    return make(find(name), hyperparameters)


def make(rule: type[Rule], hyperparameters: dict[str, Any]) -> Rule:
    """Make a rule of a class that need not be registered; as :func:`build` otherwise."""
    made = rule(**check(rule, f"optimizer {rule.name}", hyperparameters, per_member=True))
    made.check()
    return made
