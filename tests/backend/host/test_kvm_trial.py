"""Whether KVM is believed. The host is a stand-in: one whose KVM hangs is not to be had."""

import threading

import libvirt
import pytest
from lxml import etree

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host import kvm_trial
from qubes_manager.backend.host.kvm_trial import kvm_offered, kvm_works


class Host:
    """Runs what it is given until it is told to end it, or for *lifetime* looks at it."""

    def __init__(self, lifetime: int, *, refuses: bool = False) -> None:
        self._left = lifetime
        self._refuses = refuses
        self.running = ""
        self.closed = threading.Event()

    def createXML(self, xml: str, _flags: int) -> None:
        if self._refuses:
            raise libvirt.libvirtError("failed to initialize kvm: Permission denied")
        root = etree.fromstring(xml)
        assert (root.get("type"), root.findtext("os/kernel")) == ("kvm", "/boot/vmlinuz")
        self.running = root.findtext("name") or ""

    def listAllDomains(self, _flags: int) -> list["Host"]:
        self._left -= 1
        if self._left < 0:
            self.running = ""
        return [self] if self.running else []

    def name(self) -> str:
        return self.running

    def lookupByName(self, name: str) -> "Host":
        if name != self.running:
            raise libvirt.libvirtError("no such domain")
        return self

    def destroy(self) -> None:
        self.running = ""

    def getDomainCapabilities(self, *_: object) -> None:
        if self._refuses:
            raise libvirt.libvirtError("the accelerator kvm is not supported")

    def close(self) -> None:
        self.closed.set()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm_trial, "_ASK_SECONDS", 0.01)


async def connected(host: Host) -> LibvirtConnection:
    connection = LibvirtConnection("qemu:///system", watch=False, opener=lambda _uri: host)
    await connection.open()
    return connection


async def test_a_kernel_that_gives_up_by_itself_has_run() -> None:
    assert await kvm_works(await connected(Host(2)), "/boot/vmlinuz") is True


async def test_a_kernel_that_hangs_is_ended_and_kvm_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm_trial, "PATIENCE", 0.3)
    host = Host(1_000_000)
    assert await kvm_works(await connected(host), "/boot/vmlinuz") is False
    assert host.running == ""


async def test_a_host_that_refuses_kvm_neither_offers_it_nor_runs_it() -> None:
    connection = await connected(Host(0, refuses=True))
    assert await kvm_offered(connection) is False
    assert await kvm_works(connection, "/boot/vmlinuz") is False
    assert await kvm_offered(await connected(Host(0))) is True
