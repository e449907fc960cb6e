"""``thalweg recipes``: specs that reproduce published results, of single runs and of sweeps."""

from __future__ import annotations

from thalweg.cli.parser import Commands, Namespace


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "recipes",
        help="list the recipes, or print one",
        description="List the recipes, or print one as TOML.",
        examples=[
            "thalweg recipes",
            "thalweg recipes perfect-fit",
            "thalweg recipes perfect-fit > mine.toml    # then: thalweg train --spec mine.toml",
            "thalweg recipes lr-extremes > mine.toml    # then: thalweg sweep --spec mine.toml",
        ],
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="print this recipe's TOML")
    parser.set_defaults(action=recipes)


def recipes(arguments: Namespace) -> int:
    """List the recipes, or print one.

    Raises:
        SpecError: There is no such recipe.
    """
    from thalweg import recipes as room
    from thalweg.cli.table import print_table

    if arguments.name is not None:
        print(room.recipe_text(arguments.name), end="")
    else:
        print_table(("recipe", "what it is"), room.recipes().items())
        print()
        print_table(("recipe of a sweep", "what it is"), room.sweep_recipes().items())
    return 0
