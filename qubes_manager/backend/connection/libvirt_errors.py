"""libvirt's errors, turned into one plain line each."""

import libvirt

from qubes_manager.core.errors import HostCallFailed, HostUnreachable, NotFound, QubesManagerError

# libvirt prints every error to stderr unless somebody else takes them.
libvirt.registerErrorHandler(lambda _context, _error: None, None)

_PHRASES = (
    ("No space left on device", "the disk is full: free some space and try again"),
    (
        "authentication unavailable",
        "you may not use this connection: join the group “libvirt” (usermod -aG libvirt YOU, as root) and log in again",
    ),
    (
        "access denied by policy",
        "you may not use this connection: a polkit rule denies it; join the group “libvirt” or ask the administrator",
    ),
    ("Failed to connect socket", "libvirtd is not running there: start it, or choose another connection"),
    ("unable to connect to server", "the host does not answer: check its name and that libvirtd listens there"),
    ("Cannot recv data", "the host ended the connection: check that the address and your key are right"),
    ("Cannot find QEMU", "this libvirt has no QEMU: install qemu-system-x86"),
    ("could not find capabilities", "this libvirt has no QEMU for this kind of domain: install qemu-system-x86"),
    (
        "host doesn't support passthrough of host PCI devices",
        "it has a PCI device, and this machine has no VFIO or no IOMMU: turn on VT-d or AMD-Vi in the firmware’s "
        "settings, with Intel add intel_iommu=on to the kernel’s options, and load the module vfio-pci",
    ),
    (
        "device is already in the domain configuration",
        "the domain has it in its configuration already, from its next start on: take it away there first",
    ),
    (
        "no FLR, PM reset or bus reset available",
        "a PCI device cannot be reset, so that its next user would find what the last one left in it: take it away "
        "from the domain",
    ),
)
# What libvirt's client says of a daemon that went away in the middle of a call; the codes say less.
_LOST = ("client socket is closed", "End of file while reading data", "Cannot write data", "Cannot recv data")
_NO_DRIVER = "this libvirt has no driver for it: for QEMU install libvirt-daemon-driver-qemu, or check the address"
_UNREACHABLE = {
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_AUTH_FAILED,
    libvirt.VIR_ERR_AUTH_CANCELLED,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE,
    libvirt.VIR_ERR_INVALID_CONN,
}
_MISSING = {
    libvirt.VIR_ERR_NO_DOMAIN: "the domain does not exist any more",
    libvirt.VIR_ERR_NO_STORAGE_POOL: "the storage pool does not exist",
    libvirt.VIR_ERR_NO_STORAGE_VOL: "the volume does not exist any more",
    libvirt.VIR_ERR_NO_NODE_DEVICE: "the device is not there any more",
}


def translate(error: libvirt.libvirtError, what: str) -> QubesManagerError:
    """Return our error for libvirt's; *what* says what was tried (``start “work”``)."""
    raw = str(error.get_error_message() or error)
    code = error.get_error_code() or 0
    if code in _MISSING:
        return NotFound(f"cannot {what}: {_MISSING[code]}", raw)
    if not what.startswith("connect") and any(phrase in raw for phrase in _LOST):
        return HostUnreachable(f"cannot {what}: the connection to the host is gone", raw)
    for phrase, plain in _PHRASES:
        if phrase in raw:
            kind = HostUnreachable if what.startswith("connect") else HostCallFailed
            return kind(f"cannot {what}: {plain}", raw)
    if what.startswith("connect"):
        no_driver = code in (libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_CONFIG_UNSUPPORTED) or (
            "driver" in raw and code == libvirt.VIR_ERR_INVALID_ARG
        )
        return HostUnreachable(f"cannot {what}: {_NO_DRIVER if no_driver else raw.splitlines()[0]}", raw)
    if code in _UNREACHABLE or code == libvirt.VIR_ERR_RPC:
        return HostUnreachable(f"cannot {what}: the connection to the host is gone", raw)
    return HostCallFailed(f"cannot {what}: {raw.splitlines()[0] if raw else 'unknown error'}", raw)


def is_unsupported(error: libvirt.libvirtError) -> bool:
    """Whether the driver does not have the call at all."""
    return error.get_error_code() in (
        libvirt.VIR_ERR_NO_SUPPORT,
        libvirt.VIR_ERR_CALL_FAILED,
        libvirt.VIR_ERR_INVALID_ARG,
        libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
        libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    )
