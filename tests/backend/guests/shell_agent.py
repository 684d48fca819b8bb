"""An agent whose guest is a folder of this machine: its programs run here, with that folder as the user's home."""

import base64
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

RUN = "/run/qubes-manager-"


class ShellAgent:
    """Does what qemu-guest-agent does, with *home* as the user's. *before* may change any request's answer."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._run = home.parent / f"{home.name}-run"
        self._run.mkdir()
        self._files: dict[int, IO[bytes]] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.commands: list[str] = []
        self.before: Callable[[str, Mapping[str, Any]], object] = lambda _command, _arguments: None

    @property
    def open_files(self) -> int:
        return len(self._files)

    def __call__(self, _domain: object, text: str, _timeout: int, _flags: int) -> str:
        request = json.loads(text.replace(RUN, f"{self._run}/"))
        arguments = request.get("arguments", {})
        self.commands.append(request["execute"])
        answer = self.before(request["execute"], arguments)
        if answer is None:
            answer = getattr(self, request["execute"].removeprefix("guest-").replace("-", "_"))(**arguments)
        return answer if isinstance(answer, str) else json.dumps({"return": answer})

    def ping(self) -> object:
        return {}

    def exec(self, path: str, arg: list[str]) -> object:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home)}
        process = subprocess.Popen([path, *arg], env=environment, start_new_session=True)
        self._processes[process.pid] = process
        return {"pid": process.pid}

    def exec_status(self, pid: int) -> object:
        code = self._processes[pid].poll()
        return {"exited": False} if code is None else {"exited": True, "exitcode": code}

    def file_open(self, path: str, mode: str) -> object:
        try:
            file = Path(path).open(mode.replace("b", "") + "b", buffering=0)  # noqa: SIM115
        except OSError as error:
            return json.dumps({"error": {"desc": str(error)}})
        self._files[file.fileno()] = file
        return file.fileno()

    def file_read(self, handle: int, count: int) -> object:
        data = self._files[handle].read(count)
        return {"count": len(data), "buf-b64": base64.b64encode(data).decode(), "eof": not data}

    def file_write(self, handle: int, **content: str) -> object:
        return {"count": self._files[handle].write(base64.b64decode(content["buf-b64"])), "eof": False}

    def file_close(self, handle: int) -> object:
        self._files.pop(handle).close()
        return {}

    def close(self) -> None:
        for process in list(self._processes.values()):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for file in self._files.values():
            file.close()
