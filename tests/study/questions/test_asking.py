"""A study is a sweep in a folder: planned, recorded, resumed, read again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from thalweg.engine import Step, short_keys
from thalweg.errors import FileError, SpecError
from thalweg.store import SeriesFolder
from thalweg.study import Interrupted, load_sweep, resume, sweep
from thalweg.study.questions import (
    QUESTIONS,
    Study,
    ask,
    begin_study,
    find_question,
    load_study,
    plan_study,
    study_of,
)
from thalweg.study.report import report_of
from thalweg.study.training import train

Studied = Callable[[str], Study]


@pytest.mark.no_cover
@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_is_answered_in_words_figures_and_tables(
    name: str, studied: Studied
) -> None:
    found = studied(name)
    words = found.answer.words
    assert found.is_over
    assert all(text[0].isupper() and text.endswith(".") for text in words)
    titles = [chapter.title for chapter in found.answer.chapters]
    assert len(set(titles)) == len(titles)
    figures = found.answer.figures
    assert len(figures) >= 3
    assert all(figure.layout.meta["caption"] for figure in figures.values())
    for chapter in found.answer.chapters:
        for sheet in chapter.tables:
            assert all(len(row) == len(sheet.head) for row in sheet.rows)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_study_comes_back_from_its_folder(name: str, studied: Studied) -> None:
    found = studied(name)
    assert found.sweep.folder is not None
    again = load_study(found.sweep.folder)
    assert again.answer.words == found.answer.words
    sheets = [[c.tables for c in each.answer.chapters] for each in (found, again)]
    assert sheets[0] == sheets[1]
    folder, page = report_of(found.sweep.folder)
    assert folder == found.sweep.folder
    assert f"<h1>{found.question.title}</h1>" in page
    assert f"thalweg study {name} --spec" in page


def test_each_seed_draws_everything_and_settings_share_it(studied: Studied) -> None:
    points = studied("memorise").sweep.series.points
    drawn = {
        (p.spec.seed, p.spec.order_seed, p.spec.data.split_seed) for p in points
    }  # fmt: skip
    assert drawn == {(0, 0, 0), (1, 1, 1)}


def test_a_member_is_the_run_of_its_spec(studied: Studied) -> None:
    series = studied("memorise").sweep.series
    for number in (0, 9, len(series.points) - 1):
        alone = train(spec=series.points[number].spec, out=False)
        result = series.results[number]
        assert alone.metrics["test_accuracy"] == result.metrics["test_accuracy"]
        assert alone.history.epochs["step"][-1] == result.steps


def test_a_study_goes_on_after_an_interruption(tmp_path: Path, studied: Studied) -> None:
    question = find_question("init")
    whole = studied("init")
    study = plan_study(question, whole.sweep.base, 2)
    with suppress(Interrupted):
        for _, event in begin_study(study, out=tmp_path / "a"):
            if isinstance(event, Step) and study.sweep.series.results:
                os.kill(os.getpid(), signal.SIGINT)
    halted = load_study(tmp_path / "a")
    assert not halted.is_over
    assert "there is an answer once all are" in halted.answer.words[0]
    assert "thalweg resume" in halted.page()
    resume(tmp_path / "a")
    again = load_study(tmp_path / "a")
    assert again.answer.words == whole.answer.words
    steps = {n: result.metrics for n, result in whole.sweep.series.results.items()}
    assert {n: result.metrics for n, result in again.sweep.series.results.items()} == steps


def test_so_many_samples_as_suit_the_question() -> None:
    question = find_question("regularise")
    base = question.spec.override({"hidden": (8,)}, short_keys())
    study = plan_study(question, base, 2)
    assert study.sweep.base.data.subset == 1000
    assert study.facts["samples"] == 1000
    fewer = plan_study(question, base.override({"subset": 120}), 2)
    assert fewer.sweep.base.data.subset == 120


def test_pages_and_pictures(
    tmp_path: Path, studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = list[Path]()
    monkeypatch.setattr(
        "thalweg.study.questions.asking.save", lambda figure, file: drawn.append(file)
    )
    found = studied("memorise")
    page, *pictures = found.write(tmp_path, pictures=True)
    assert pictures == drawn == [tmp_path / f"{name}.png" for name in found.answer.figures]
    assert "What takes long to fit?" in page.read_text("utf-8")
    assert found.write(tmp_path) == [page]


def test_without_a_folder_there_is_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask("init", data="digits", hidden=(4,), steps=1, subset=200, seeds=2, out=False)
    assert "How to repeat it" not in found.page()
    assert study_of(found.sweep) is None


def test_what_is_no_study(tmp_path: Path) -> None:
    made = sweep(data="digits", over={"lr": [0.1]}, hidden=(4,), steps=1, out=tmp_path / "a")
    assert study_of(made) is None
    with pytest.raises(SpecError, match="a sweep and no more"):
        load_study(tmp_path / "a")
    folder = SeriesFolder.open(tmp_path / "a")
    folder.change(about={"question": "why"})
    with pytest.raises(FileError, match="which asks 'why'"):
        study_of(load_sweep(tmp_path / "a"))


def test_what_cannot_be_asked() -> None:
    with pytest.raises(SpecError, match="did you mean memorise"):
        ask("memorize")
    with pytest.raises(SpecError, match="one seed says nothing"):
        ask("memorise", data="digits", seeds=1)
    with pytest.raises(SpecError, match="got a list for a study"):
        ask("memorise", data=[1, 2])  # type: ignore[arg-type]
    for name in ("memorise", "regularise", "init"):
        with pytest.raises(SpecError, match="a regression"):
            ask(name, data="reg-plane", seeds=2)
    with pytest.raises(SpecError, match="a multilayer perceptron"):
        ask("init", model="garment", data="digits", seeds=2)
    with pytest.raises(SpecError, match="no target"):
        ask("batch-size", data="digits", until=None, seeds=2)
    with pytest.raises(SpecError, match="the size that the learning rate belongs to"):
        ask("batch-size", data="digits", batch_size="full", seeds=2)
    with pytest.raises(SpecError, match="diverges within its first epochs"):
        ask("regularise", data="digits", optimizer="sgd", lr=1e30, seeds=2)
