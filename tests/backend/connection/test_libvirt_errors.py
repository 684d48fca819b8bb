"""Libvirt’s errors, in plain words."""

import libvirt
import pytest

from qubes_manager.backend.connection.libvirt_errors import translate


def test_our_own_log_handlers_do_not_print_libvirts_errors(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(libvirt.libvirtError):
        libvirt.open("qemu+unix:///session?socket=/no/such/socket")
    assert capfd.readouterr().err == ""


def error_of(code: int, message: str) -> libvirt.libvirtError:
    """An error as the bindings make it; for those that cannot be had here."""
    error = libvirt.libvirtError(message)
    error.err = (code, 0, message, 0, "", None, None, 0, 0)
    return error


@pytest.mark.parametrize(
    ("code", "raw", "what", "part"),
    [
        (libvirt.VIR_ERR_SYSTEM_ERROR, "x: No space left on device", "copy", "cannot copy: the disk is full"),
        (
            libvirt.VIR_ERR_AUTH_UNAVAILABLE,
            "authentication unavailable: no polkit agent available to authenticate action",
            "connect to qemu:///system",
            "cannot connect to qemu:///system: you may not use this connection: join the group “libvirt”",
        ),
        (
            libvirt.VIR_ERR_NO_CONNECT,
            "no connection driver available for qemu:///system",
            "connect to qemu:///system",
            "this libvirt has no driver for it: for QEMU install libvirt-daemon-driver-qemu",
        ),
        (libvirt.VIR_ERR_NO_DOMAIN, "Domain not found", "start “work”", "the domain does not exist"),
        (
            libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
            "unsupported configuration: host doesn't support passthrough of host PCI devices",
            "start “work”",
            "cannot start “work”: it has a PCI device, and this machine has no VFIO or no IOMMU: turn on VT-d",
        ),
        (
            libvirt.VIR_ERR_OPERATION_INVALID,
            "Requested operation is not valid: device is already in the domain configuration",
            "give it to “work”",
            "cannot give it to “work”: the domain has it in its configuration already",
        ),
        (
            libvirt.VIR_ERR_INTERNAL_ERROR,
            "internal error: Unable to reset PCI device 0000:01:00.0: no FLR, PM reset or bus reset available",
            "start “work”",
            "cannot start “work”: a PCI device cannot be reset",
        ),
        (libvirt.VIR_ERR_OPERATION_FAILED, "first line\nsecond", "start “work”", "cannot start “work”: first line"),
    ],
)
def test_libvirts_errors_become_one_plain_line(code: int, raw: str, what: str, part: str) -> None:
    plain = translate(error_of(code, raw), what)
    assert str(plain).startswith(part) or part in str(plain)
    assert "\n" not in str(plain)
    assert plain.details == raw
