"""Where what is a domain's own lies on its host: by UUID, since a name may be another domain's tomorrow."""

import contextlib

from qubes_manager.backend.domains.nvram import nvram_name
from qubes_manager.backend.host.daemon_paths import daemon_paths


def console_log_path(uri: str, uuid: str) -> str:
    """Return where a domain's serial console is logged; empty where the host's folders are unknown. Blocks."""
    paths = daemon_paths(uri)
    if paths is None:
        return ""
    # libvirt makes this folder only when the first domain has started.
    with contextlib.suppress(OSError):
        paths.qemu_logs.mkdir(parents=True, exist_ok=True)
    return str(paths.qemu_logs / f"{uuid}-console.log")


def nvram_path(uri: str, uuid: str) -> str:
    """Return where a UEFI domain's variables are kept; empty to leave it to libvirt, on other machines. Blocks."""
    paths = daemon_paths(uri)
    return str(paths.nvram / nvram_name(uuid)) if paths else ""
