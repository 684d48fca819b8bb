"""Commands, run as a user would type them, on the test driver."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.domains import write_domains

COMMANDS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"test://{write_domains(tmp_path_factory.mktemp('cli') / 'ten.xml', 10)}"


def run(*words: object, data: str | None = None) -> subprocess.CompletedProcess[str]:
    name, *rest = map(str, words)
    return subprocess.run(
        [COMMANDS / name, *rest], input=data or "", capture_output=True, text=True, timeout=60, check=False
    )
