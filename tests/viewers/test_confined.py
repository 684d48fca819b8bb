"""What a viewer gives up at its start, on whatever kernel; that it holds is tried in the sandbox itself."""

import os
import resource
from types import SimpleNamespace

import pytest

from qubes_manager.viewers.confined import few_threads


@pytest.mark.parametrize(
    ("release", "is_limited"),
    [
        ("5.14.0-70.el9.x86_64", True),
        ("6.1.0-37-amd64", True),
        ("6.12-amd64", True),
        ("6.18-rc2", True),
        ("10.0", True),
        ("5.10.0-35-amd64", False),
        ("4.19.1", False),
        ("of its own", False),
    ],
)
def test_threads_are_limited_where_the_kernel_counts_those_of_the_sandbox_alone(
    monkeypatch: pytest.MonkeyPatch, release: str, is_limited: bool
) -> None:
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limit: limits.append((kind, limit)))
    few_threads()
    assert limits == ([(resource.RLIMIT_NPROC, (64, 64))] if is_limited else [])
