"""``thalweg export``: a run's network as a file for other programs."""

from __future__ import annotations

from pathlib import Path

from thalweg.cli.evaluate import add_checkpoint
from thalweg.cli.parser import Commands, Namespace
from thalweg.cli.text import normalisation, place
from thalweg.errors import SpecError

SUFFIXES = (".pt", ".safetensors", ".onnx")


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "export",
        help="write a run's network for other programs",
        description=(
            "Write a run's network for other programs: its weights as a state_dict of torch\n"
            "(.pt) or as .safetensors, or weights and graph as ONNX (.onnx), with the slow\n"
            "weights where the rule keeps such. It takes inputs that are normalised as the\n"
            "run's data were."
        ),
        examples=[
            "thalweg export first --to first.pt",
            "thalweg export first --to first.safetensors --checkpoint best",
            "thalweg export first --to first.onnx    # pip install 'thalweg[export]'",
        ],
    )
    parser.add_argument("run", metavar="RUN", help="folder or name of a run")
    parser.add_argument(
        "--to", metavar="FILE", type=Path, required=True, help="what to write, by its suffix"
    )
    add_checkpoint(parser)
    parser.set_defaults(action=export)


def export(arguments: Namespace) -> int:
    """Write the file, and say what the network in it takes.

    Raises:
        ThalwegError: There is no such run or checkpoint, the file cannot be written, or a package
            is missing.
    """
    file = arguments.to
    if file.suffix not in SUFFIXES:
        raise SpecError(f"--to {file}", f"a name that ends in {', '.join(SUFFIXES)}")
    from thalweg import nn
    from thalweg.store import find_run
    from thalweg.study import load_network

    run = find_run(arguments.run)
    network, facts = load_network(run, arguments.checkpoint), run.info.data
    if file.suffix == ".onnx":
        nn.export_onnx(network, tuple(facts.input_shape), file)
    else:
        nn.save_weights(network, file)
    shape = ", ".join(map(str, ("batch", *facts.input_shape)))
    normalised = normalisation(facts.mean, facts.std)
    print(f"{place(file)}: takes ({shape})" + (f", normalised: {normalised}" if normalised else ""))
    return 0
