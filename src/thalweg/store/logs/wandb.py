"""Weights & Biases: a run on its servers, or offline in a folder ``wandb`` of the run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar, final

from thalweg.store.logs.identity import identity
from thalweg.store.logs.library import check_installed, load
from thalweg.store.logs.log import FAILED, STOPPED, Log, Row
from thalweg.store.logs.wandb_file import history

PROJECT = "thalweg"
AXIS = "step"
OPEN: dict[str, Any] = {}
"""The runs that this process has open."""
PRIVATE = {
    "x_disable_stats": True,
    "x_transaction_log_flush_interval": 0.1,
}
"""Settings that not every version has: no load of the machine, and rows on the disk soon."""


@final
class WandbLog(Log):
    """A run in Weights & Biases, in the mode that ``WANDB_MODE`` says and under ``WANDB_PROJECT``.

    Without them it is the project thalweg; online if there is a ``WANDB_API_KEY``, and offline if
    not: then nothing leaves the machine until ``wandb sync`` sends it. Each process writes a file
    of its own for one and the same run. A row is one record of it, there as a whole or not at all.
    Rows are handed to the service of Weights & Biases, which outlives a process that is killed and
    writes them a tenth of a second later. The settings are the config.
    """

    kind: ClassVar[str] = "wandb"

    @classmethod
    def check(cls) -> None:
        check_installed(cls.kind, "wandb")

    def _open(self) -> dict[str, int]:
        wandb = load("wandb")
        name = identity(self.folder)
        if name in OPEN:  # left behind by a failure; a run can be open only once
            OPEN.pop(name).finish(exit_code=1)
        self._run = OPEN[name] = self._init(wandb, name)
        self._run.define_metric(AXIS, hidden=True)
        self._run.define_metric("*", step_metric=AXIS)
        # Only now: the service of a process that was killed has had the time to write what it had.
        recorded: dict[str, int] = {}
        for file in sorted((self.folder / "wandb").glob(f"*run-*/run-{name}.wandb")):
            for row in history(file):
                step = int(row.get(AXIS, -1))
                recorded |= {key: max(step, recorded.get(key, -1)) for key in row}
        return recorded

    def _init(self, wandb: Any, name: str) -> Any:
        known = wandb.Settings.model_fields
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            **{key: value for key, value in PRIVATE.items() if key in known},
        )
        session = wandb.setup()
        wandb.termsetup(settings, None)  # logging in is not silent by itself
        try:
            return wandb.init(
                project=os.environ.get("WANDB_PROJECT") or PROJECT,
                dir=self.folder,
                id=name,
                name=self.name,
                tags=[tag[:64] for tag in self.tags],
                config=dict(self.spec),
                mode=_mode(),
                resume="allow",
                reinit="create_new",  # a run of the user's own goes on as it is
                settings=settings,
            )
        finally:
            wandb.termsetup(session.settings, None)

    def _append(self, rows: Sequence[Row]) -> None:
        for step, when, values in rows:
            self._run.log({AXIS: step, "_timestamp": when, **values})
        # Rows lie in a queue of this process until the service has them. It answers in order.
        self._run.summary.get(AXIS)

    def _finish(self, state: str) -> None:
        self._run.summary["state"] = state
        OPEN.pop(identity(self.folder), None)
        self._run.finish(exit_code=int(state in FAILED | STOPPED))


def _mode() -> Any:
    return os.environ.get("WANDB_MODE") or (
        "online" if os.environ.get("WANDB_API_KEY") else "offline"
    )
