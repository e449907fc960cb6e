"""The contracts say at the end how much they have shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from thalweg import optim

HERE = Path(__file__).parent


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the rules, the checks that each of them can pass, and the cases."""
    passed = [
        report.nodeid
        for report in terminalreporter.stats.get("passed", [])
        if report.when == "call" and f"{HERE.name}/test_optim_" in report.nodeid
    ]
    if passed:
        checks = {nodeid.partition("[")[0] for nodeid in passed}
        wrappers = len(optim.wrappers())
        terminalreporter.write_line(
            f"optimizer contract: {len(optim.rules()) - wrappers} rules and {wrappers} wrappers "
            f"× {len(checks)} checks, {len(passed):,} cases passed"
        )
