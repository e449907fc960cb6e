"""Files that live on the network: where they are looked for, and how they are fetched."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.data.idx import uncompressed
from thalweg.errors import DataError, DownloadError

if TYPE_CHECKING:
    from rich.progress import Progress

_TIMEOUT = 30.0  # seconds without an answer before the next mirror is asked


@dataclass(frozen=True)
class RemoteFile:
    """A gzip archive and the SHA-256 of what is inside.

    The archives themselves differ from mirror to mirror by their compression.
    """

    name: str
    sha256: str


@dataclass(frozen=True)
class Collection:
    """The files of one data set.

    Args:
        directory: Where they lie in a data folder: ``directory/raw/``, as torchvision has it.
        files: The archives.
        mirrors: Base URLs that have all of them, each ending in a slash.
        installed: Folders in which operating systems install them.
    """

    directory: str
    files: tuple[RemoteFile, ...]
    mirrors: tuple[str, ...]
    installed: tuple[Path, ...] = ()


def locate(collection: Collection, folder: Path | None = None) -> dict[str, Path] | None:
    """Find a collection on disk, each file either compressed or not.

    Looks in ``folder``, in the folder named by the environment variable ``THALWEG_DATA``, where
    operating systems install it, and in the user's cache. In ``folder`` the files may also lie
    flat; elsewhere they may not, because MNIST and Fashion-MNIST have the same file names.

    Returns:
        The path of every file by its archive's name, or None if no place has them all.
    """
    places = [] if folder is None else [*_layouts(folder, collection), folder / "raw", folder]
    if environment := os.environ.get("THALWEG_DATA"):
        places += _layouts(Path(environment), collection)
    places += [*collection.installed, *_layouts(_cache(), collection)]
    for place in places:
        found = {
            file.name: path
            for file in collection.files
            for path in (place / file.name, place / file.name.removesuffix(".gz"))
            if path.is_file()
        }
        if len(found) == len(collection.files):
            return found
    return None


def download(collection: Collection, folder: Path | None = None) -> dict[str, Path]:
    """Fetch the files of a collection that are not there yet.

    Each file is asked for at one mirror after the other, written beside its final name, checked,
    and only then renamed, so that a broken connection never leaves half a file.

    Args:
        collection: What to fetch.
        folder: Data folder to put it into; by default that named by ``THALWEG_DATA``, else the
            user's cache.

    Returns:
        The path of every file by its name.

    Raises:
        DownloadError: No mirror answered, or the folder cannot be written.
        DataError: Mirrors answered, but not with the files that were expected.
    """
    root = folder or Path(os.environ.get("THALWEG_DATA") or _cache())
    target = root / collection.directory / "raw"
    try:
        target.mkdir(parents=True, exist_ok=True)
        return {
            file.name: path
            if (path := target / file.name).is_file()
            else _fetch(file, collection, path)
            for file in collection.files
        }
    except (DataError, DownloadError):
        raise
    except OSError as error:
        reason = error.strerror or error
        raise DownloadError(
            f"a folder that cannot be written, {target} ({reason})", "a writable one", _ELSEWHERE
        ) from None


def verified(path: Path, file: RemoteFile) -> bytes:
    """Return what is inside a file, if it is what it claims to be.

    Raises:
        DataError: The file is unreadable, damaged, or another one.
    """
    content = uncompressed(path)
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise DataError(
            f"{path} with the SHA-256 {digest[:12]}…",
            f"{file.sha256[:12]}…, that of {file.name.removesuffix('.gz')}",
            "the file is damaged or another data set's: delete it and fetch it again, or read it "
            "with thalweg.data.read_idx and pass the arrays",
        )
    return content


def _fetch(file: RemoteFile, collection: Collection, path: Path) -> Path:
    """Fetch one file from the first mirror that has it whole."""
    problems, delivered = [], False
    for mirror in collection.mirrors:
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=path.parent)
        os.close(handle)
        part = Path(name)
        try:
            _copy(mirror + file.name, part, f"{collection.directory} {file.name}")
            delivered = True
            verified(part, file)
            part.chmod(0o644)
            return part.replace(path)
        except DataError as error:
            problems.append(f"{mirror}: {error.got.replace(str(part), 'a file')}")
        except OSError as error:  # what requests raises is one, too
            problems.append(f"{mirror}: {_reason(error)}")
        finally:
            part.unlink(missing_ok=True)
    kind = DataError if delivered else DownloadError
    raise kind(
        f"no sound copy of {file.name} ({'; '.join(problems)})",
        "one mirror that has it",
        _ELSEWHERE,
    )


def _copy(url: str, path: Path, label: str) -> None:
    """Copy what a URL has into a file, with a progress bar on a terminal."""
    import pooch
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = _Bar(progress, label)
        pooch.HTTPDownloader(progressbar=bar, timeout=_TIMEOUT)(url, path, None)


class _Bar:
    """A rich bar with what pooch asks of one."""

    def __init__(self, progress: Progress, label: str) -> None:
        self._progress, self._task = progress, progress.add_task(label, total=None)
        self.total = 0

    def update(self, size: int) -> None:
        self._progress.update(self._task, total=self.total or None, advance=size)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Do nothing: the bar closes with its display."""


def _reason(error: OSError) -> str:
    """Say what went wrong without the library's nesting of causes."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return f"{type(cause).__name__}: {cause}"


def _layouts(root: Path, collection: Collection) -> list[Path]:
    return [root / collection.directory / "raw", root / collection.directory]


def _cache() -> Path:
    import pooch

    return Path(pooch.os_cache("thalweg"))


_ELSEWHERE = (
    "put the files into a folder and name it with the option folder "
    "or the environment variable THALWEG_DATA"
)
