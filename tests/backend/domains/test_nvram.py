"""Whose UEFI variables are whose."""

from collections.abc import Sequence

import libvirt
import pytest
from lxml import etree

from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.domains.nvram import nvram_files, undefine_flag

GONE, KEPT = libvirt.VIR_DOMAIN_UNDEFINE_NVRAM, libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
EFI = "<os firmware='efi'><type>hvm</type></os>"


def named(path: str) -> str:
    return f"<os><type>hvm</type><loader type='pflash'>/code.fd</loader><nvram template='/t.fd'>{path}</nvram></os>"


class Stored:
    """A domain of a host with several."""

    def __init__(self, name: str, system: str, host: "list[Stored]") -> None:
        self._name, self._system, self._host = name, system, host
        host.append(self)

    def UUIDString(self) -> str:
        return f"uuid of {self._name}"

    def isPersistent(self) -> int:
        return 1

    def XMLDesc(self, _flags: int) -> str:
        return f"<domain><name>{self._name}</name>{self._system}</domain>"

    def connect(self) -> "Stored":
        return self

    def listAllDomains(self) -> Sequence["Stored"]:
        return self._host


@pytest.mark.parametrize(
    ("system", "others", "flag"),
    [
        (named("/n/work_VARS.fd"), [], GONE),
        # It was renamed, and another one has its name and its file now.
        (named("/n/untrusted_VARS.fd"), [("untrusted", named("/n/untrusted_VARS.fd"))], KEPT),
        (named("/n/untrusted_VARS.fd"), [("untrusted", EFI)], KEPT),
        (named("/n/untrusted_VARS.fd"), [("mail", EFI)], GONE),
        (EFI, [("other", named("/n/work_VARS.fd"))], KEPT),
        (EFI, [("other", "<os><nvram type='file'><source file='/n/work_VARS.fd'/></nvram></os>")], KEPT),
        (EFI, [("other", EFI)], GONE),
        ("<os><type>hvm</type></os>", [("work2", EFI)], GONE),
    ],
)
def test_variables_that_another_domain_uses_stay(system: str, others: list[tuple[str, str]], flag: int) -> None:
    host: list[Stored] = []
    work = Stored("work", system, host)
    for name, other in others:
        Stored(name, other, host)
    assert undefine_flag(work) == flag


def test_a_copy_has_variables_of_its_own() -> None:
    edit = DomainEdit(f"<domain><name>a</name><uuid>1</uuid>{named('/n/a_VARS.fd')}</domain>")
    edit.set_identity("22", "b", "")
    assert nvram_files(etree.fromstring(edit.xml())) == {"22_VARS.fd"}
    assert "template" in edit.xml()
