"""What is public is documented, and what the documents show is true."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import thalweg
from thalweg.spec import Spec

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
NO_ROOMS = {"cli", "__main__"}  # commands have pages of their own
ROOMS = sorted(
    f"thalweg.{info.name}"
    for info in pkgutil.iter_modules(thalweg.__path__)
    if info.name not in NO_ROOMS
)
# An automodule directive documents each member that has a docstring, and passes over the others.
AUTODOC = re.compile(r"^\.\. automodule:: (\S+)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)")
BLOCK = re.compile(r"^```(python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def public_names(module: ModuleType) -> list[str]:
    own = [name for name, value in vars(module).items() if _home(value) == module.__name__]
    return [name for name in getattr(module, "__all__", own) if not name.startswith("_")]


def undocumented(module: ModuleType) -> Iterator[str]:
    for name in public_names(module):
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not inspect.getdoc(value):
            yield f"{module.__name__}.{name}"
        methods = vars(value).items() if inspect.isclass(value) else ()
        for key, method in methods:
            public = not key.startswith("_") and _home(value).startswith("thalweg")
            if public and inspect.isfunction(method) and not inspect.getdoc(getattr(value, key)):
                yield f"{module.__name__}.{name}.{key}"


def _home(value: object) -> str:
    return str(getattr(value, "__module__", ""))


def blocks(language: str) -> list[object]:
    return [
        pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, (kind, block) in enumerate(BLOCK.findall(page.read_text()))
        if kind == language
    ]


def test_every_room_has_its_page() -> None:
    pages = [page.read_text() for page in (ROOT / "docs" / "api").glob("*.md")]
    assert set(ROOMS) <= {name for text in pages for name in AUTODOC.findall(text)}


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_has_a_docstring(room: str) -> None:
    module = import_module(room)
    assert inspect.getdoc(module)
    assert list(undocumented(module)) == []


def test_every_name_of_the_table_of_contents_is_on_a_page() -> None:
    rooms = [import_module(room) for room in ROOMS]
    on_pages = {id(getattr(room, name)) for room in rooms for name in public_names(room)}
    on_pages |= {id(room) for room in rooms}
    missing = [name for name in thalweg.__all__ if id(getattr(thalweg, name)) not in on_pages]
    assert set(missing) <= {"__version__"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("block", blocks("toml"))
def test_toml_examples_are_specifications(block: str) -> None:
    assert Spec.from_toml(block) != Spec()


@pytest.mark.no_cover
@pytest.mark.parametrize("block", blocks("python"))
def test_python_examples_run(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(block, "example", "exec"), names)
    assert "run" not in names or names["run"].evaluate("test")["accuracy"] > 0.9
