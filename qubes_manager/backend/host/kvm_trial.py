"""Whether KVM really runs a guest. The device node alone says little: under nested virtualisation guests may hang."""

import asyncio
import contextlib
import secrets

import libvirt
from lxml import etree
from lxml.builder import E

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.core.errors import QubesManagerError

# A kernel panics for want of a root in well under two seconds.
PATIENCE = 20.0
_ASK_SECONDS = 0.25


def claims_kvm(raw: libvirt.virConnect) -> bool:
    """Whether libvirt believes that this host's QEMU can use KVM. Blocks."""
    try:
        raw.getDomainCapabilities(None, "x86_64", "q35", "kvm")
    except libvirt.libvirtError:
        return False
    return True


async def kvm_offered(connection: LibvirtConnection) -> bool:
    """As claims_kvm, from a coroutine."""
    return await connection.call("read the host’s capabilities", claims_kvm)


async def kvm_works(connection: LibvirtConnection, kernel: str) -> bool:
    """Boot *kernel* (a path on the host) under KVM with nothing else, and see whether it gets as far as giving up.

    It panics without a root file system and asks for a reset, which ends this transient domain.
    """
    name = f"kvm-trial-{secrets.token_hex(4)}"

    def begin(raw: libvirt.virConnect) -> None:
        raw.createXML(_trial_xml(name, kernel), libvirt.VIR_DOMAIN_START_AUTODESTROY)

    def runs(raw: libvirt.virConnect) -> bool:
        return name in {domain.name() for domain in raw.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)}

    def end(raw: libvirt.virConnect) -> None:
        with contextlib.suppress(libvirt.libvirtError):
            raw.lookupByName(name).destroy()

    try:
        await connection.call("try KVM", begin)
        async with asyncio.timeout(PATIENCE):
            while await connection.call("try KVM", runs):  # noqa: ASYNC110 - a short life is seen soonest so
                await asyncio.sleep(_ASK_SECONDS)
    except TimeoutError:
        return False
    except QubesManagerError:
        return False
    finally:
        with contextlib.suppress(QubesManagerError):
            await asyncio.shield(connection.call("end the trial of KVM", end))
    return True


def _trial_xml(name: str, kernel: str) -> str:
    machine = E.type("hvm", arch="x86_64", machine="q35")
    root = E.domain(
        E.name(name),
        E.memory("256", unit="MiB"),
        E.os(machine, E.kernel(kernel), E.cmdline("console=ttyS0 panic=-1")),
        E.cpu(mode="host-passthrough"),
        E.on_reboot("destroy"),
        E.on_crash("destroy"),
        E.devices(E.serial(type="null")),
        type="kvm",
    )
    return etree.tostring(root, encoding="unicode")
