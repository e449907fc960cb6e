"""``thalweg model``: a network's layers and parameters."""

from __future__ import annotations

from thalweg.cli.parser import Commands, Namespace
from thalweg.spec import Spec


def add(commands: Commands, *, with_settings: bool) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "model",
        help="show a model's layers and parameters, or list the models",
        description="Show a model's layers, the shapes of their outputs and their parameters.",
        usage="thalweg model [NAME] [--data DATA] [options]",
        examples=[
            "thalweg model",
            "thalweg model lab-mlp",
            "thalweg model garment --data fashion-mnist",
            "thalweg model mlp --data digits --hidden 64,32 --norm batch",
        ],
    )
    parser.add_argument("model", nargs="?", metavar="NAME", help="name of a model")
    parser.add_argument(
        "--data", dest="source", metavar="DATA", help="fit it to this data set instead of its own"
    )
    if with_settings:
        from thalweg.cli.settings import add_settings

        add_settings(parser, "model")
    parser.set_defaults(action=model)


def model(arguments: Namespace) -> int:
    """Print a model's table, or the models.

    Raises:
        ThalwegError: The model does not exist, or does not fit the data.
    """
    from torch import Generator

    from thalweg import nn
    from thalweg.cli.settings import read_settings
    from thalweg.cli.table import print_table

    if arguments.model is None:
        print_table(("model", "what it is"), [(n, m.summary) for n, m in nn.MODELS.items()])
        return 0
    entry = nn.find_model(arguments.model)
    spec = read_settings(arguments, Spec()).model
    shape, outputs = entry.input_shape, entry.out_features
    if arguments.source is not None:
        shape, outputs = _sizes(arguments.source)
    net = nn.build(
        spec.name,
        input_shape=shape,
        out_features=outputs,
        generator=Generator().manual_seed(0),
        init=spec.init,
        **spec.options,
    )
    print(f"{spec.name}: {entry.summary}")
    print(nn.summary(net, shape))
    return 0


def _sizes(source: str) -> tuple[tuple[int, ...], int]:
    """Return the shape of a sample and the outputs that a data set asks for."""
    from thalweg.data import NAMED_SETS, load_data

    if source in NAMED_SETS:  # known without loading it
        entry = NAMED_SETS[source]
        return entry.input_shape, entry.out_features
    data = load_data(source)
    return data.input_shape, data.out_features
