"""The work, done in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from thalweg.cluster.executor import Done, Executor, Happening, Told, Work


class Here(Executor):
    """Does one job after the other, in this process and with its threads.

    Example:
        >>> class Squares(Work):
        ...     def do(self, job):
        ...         yield f"{job} times {job}"
        ...         return job * job
        >>> for happening in Here().run(Squares(), [7]):
        ...     print(happening)
        Told(job=0, what='7 times 7')
        Done(job=0, what=49)
    """

    def __init__(self) -> None:
        super().__init__(threads=0)

    def run(self, work: Work, jobs: Sequence[Any]) -> Iterator[Happening]:
        for number, job in enumerate(jobs):
            doing = work.do(job)
            while True:
                try:
                    what = next(doing)
                except StopIteration as end:
                    yield Done(number, end.value)
                    break
                yield Told(number, what)
