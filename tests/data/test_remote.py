from __future__ import annotations

import gzip
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from thalweg.data.remote import Collection, RemoteFile, download, locate, verified
from thalweg.errors import DataError, DownloadError

INSIDE = {"a.gz": b"some images " * 500, "b.gz": b"some labels"}
FILES = tuple(RemoteFile(n, hashlib.sha256(inside).hexdigest()) for n, inside in INSIDE.items())


def _whole(name: str) -> tuple[int, bytes, int | None]:
    body = gzip.compress(INSIDE[name])
    return 200, body, len(body)


def _other_compression(name: str) -> tuple[int, bytes, int | None]:
    body = gzip.compress(INSIDE[name], compresslevel=1)
    return 200, body, len(body)


def _wrong(name: str) -> tuple[int, bytes, int | None]:
    return 200, gzip.compress(b"something else"), None


def _page(name: str) -> tuple[int, bytes, int | None]:
    return 200, b"<html>please log in</html>", None


def _cut(name: str) -> tuple[int, bytes, int | None]:
    body = gzip.compress(INSIDE[name])
    return 200, body[:-9], len(body)


def _cut_silently(name: str) -> tuple[int, bytes, int | None]:
    return 200, gzip.compress(INSIDE[name])[:-9], None


def _absent(name: str) -> tuple[int, bytes, int | None]:
    return 404, b"no", 2


Answer = Callable[[str], tuple[int, bytes, int | None]]


@contextmanager
def mirror(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """Serve files on the loopback interface; yields the base URL and what was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            asked.append(name)
            status, body, length = answer(name)
            self.send_response(status)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def nowhere() -> str:
    """A URL at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def collection(*mirrors: str, installed: tuple[Path, ...] = ()) -> Collection:
    return Collection("Tiny", FILES, mirrors, installed)


def _put(folder: Path, *, plain: bool = False) -> None:
    folder.mkdir(parents=True)
    for name, inside in INSIDE.items():
        if plain:
            (folder / name.removesuffix(".gz")).write_bytes(inside)
        else:
            (folder / name).write_bytes(gzip.compress(inside))


@pytest.mark.parametrize("answer", [_whole, _other_compression])
def test_what_is_fetched_is_what_is_found(tmp_path: Path, answer: Answer) -> None:
    with mirror(answer) as (url, asked):
        paths = download(collection(url), tmp_path)
    assert asked == ["a.gz", "b.gz"]
    assert paths == locate(collection(url), tmp_path)
    for file in FILES:
        assert paths[file.name] == tmp_path / "Tiny" / "raw" / file.name
        assert verified(paths[file.name], file) == INSIDE[file.name]
        assert os.access(paths[file.name], os.R_OK)
    assert sorted(p.name for p in (tmp_path / "Tiny" / "raw").iterdir()) == ["a.gz", "b.gz"]


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    with mirror(_whole) as (url, asked):
        first = download(collection(url), tmp_path)
        first["a.gz"].unlink()
        download(collection(url), tmp_path)
    assert asked == ["a.gz", "b.gz", "a.gz"]


@pytest.mark.parametrize("bad", [_wrong, _page, _cut, _cut_silently, _absent])
def test_a_bad_mirror_falls_to_the_next(tmp_path: Path, bad: Answer) -> None:
    with mirror(bad) as (first, asked), mirror(_whole) as (second, _):
        paths = download(collection(first, second), tmp_path)
    assert asked == ["a.gz", "b.gz"]
    assert verified(paths["a.gz"], FILES[0]) == INSIDE["a.gz"]


@pytest.mark.parametrize(
    ("bad", "kind", "says"),
    [
        (_wrong, DataError, "SHA-256"),
        (_page, DataError, "SHA-256"),
        (_cut_silently, DataError, "truncated"),
        (_cut, DownloadError, "bytes read"),
        (_absent, DownloadError, "404"),
    ],
)
def test_all_mirrors_bad(tmp_path: Path, bad: Answer, kind: type[Exception], says: str) -> None:
    with (
        mirror(bad) as (first, _),
        mirror(bad) as (second, _),
        pytest.raises(kind, match=says) as caught,
    ):
        download(collection(first, second), tmp_path)
    assert first in str(caught.value)
    assert second in str(caught.value)
    assert list((tmp_path / "Tiny" / "raw").iterdir()) == []


def test_no_network_names_the_ways_out(tmp_path: Path, nowhere: str) -> None:
    with pytest.raises(DownloadError, match="THALWEG_DATA") as caught:
        download(collection(nowhere), tmp_path)
    assert "refused" in caught.value.got
    assert "folder" in caught.value.hint


def test_wrong_content_and_no_answer_is_a_matter_of_data(tmp_path: Path, nowhere: str) -> None:
    with mirror(_wrong) as (url, _), pytest.raises(DataError):
        download(collection(nowhere, url), tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "Tiny").write_text("in the way")
    with pytest.raises(DownloadError, match="cannot be written"):
        download(collection("http://127.0.0.1:9/"), tmp_path)


def test_the_bar_shows_on_a_terminal_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with mirror(_whole) as (url, _):
        download(collection(url), tmp_path / "quiet")
        assert capsys.readouterr().err == ""
        monkeypatch.setenv("FORCE_COLOR", "1")
        download(collection(url), tmp_path / "shown")
    assert "Tiny a.gz" in capsys.readouterr().err


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("place", ["Tiny/raw", "Tiny", "raw", "."])
def test_layouts_of_a_named_folder(tmp_path: Path, place: str, plain: bool) -> None:
    _put(tmp_path / "data" / place, plain=plain)
    found = locate(collection(), tmp_path / "data")
    assert found is not None
    assert verified(found["b.gz"], FILES[1]) == INSIDE["b.gz"]


def test_the_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("THALWEG_DATA", str(tmp_path / "environment"))
    named, installed = tmp_path / "named", tmp_path / "installed"
    tiny = collection(installed=(installed,))
    assert locate(tiny, named) is None
    with mirror(_whole) as (url, _):
        monkeypatch.delenv("THALWEG_DATA")
        cached = download(collection(url))["a.gz"]
        monkeypatch.setenv("THALWEG_DATA", str(tmp_path / "environment"))
    assert locate(tiny, named)["a.gz"] == cached  # type: ignore[index]
    for folder in (installed, tmp_path / "environment" / "Tiny", named):
        _put(folder)
        assert locate(tiny, named)["a.gz"] == folder / "a.gz"  # type: ignore[index]


def test_a_flat_folder_counts_only_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THALWEG_DATA", str(tmp_path / "flat"))
    _put(tmp_path / "flat")
    assert locate(collection()) is None
    assert locate(collection(), tmp_path / "flat") is not None


def test_half_a_set_is_not_found(tmp_path: Path) -> None:
    _put(tmp_path / "data")
    (tmp_path / "data" / "b.gz").unlink()
    assert locate(collection(), tmp_path / "data") is None


def test_downloads_go_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THALWEG_DATA", str(tmp_path))
    with mirror(_whole) as (url, _):
        assert download(collection(url))["a.gz"] == tmp_path / "Tiny" / "raw" / "a.gz"


def test_another_file_under_the_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"other images"))
    with pytest.raises(DataError, match="SHA-256"):
        verified(path, FILES[0])
