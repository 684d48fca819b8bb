"""Edits of what libvirt keeps of a domain, side by side with other programs that edit it too.

Each edit reads, changes, writes and reads again under a lock that all our programs share. Other programs have no lock,
and libvirt no “write if nobody else has”. So the smallest call is used that does the edit: libvirt itself puts it into
what it has then. Where only the whole definition will do, everything is made ready, what was read is compared again,
and the next call writes: what is left is a write of others in the two milliseconds that libvirt takes to parse it.
After each edit it must be there, at once and a moment later: who had read before it was made, and wrote after that,
has undone it, and it is made again on what he wrote.

All functions block; they run in a thread of the connection's.
"""

import operator
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import libvirt

from qubes_manager.backend.connection.libvirt_errors import is_unsupported
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains import metadata
from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.domains.metadata import MetadataEdit
from qubes_manager.backend.domains.saved_metadata import carry_to_saved
from qubes_manager.backend.domains.smallest_write import part_writer
from qubes_manager.backend.user.domain_lock import edit_lock
from qubes_manager.backend.xml import canonical, parse
from qubes_manager.core.errors import Refused

# Others would have to write at the very moment each time.
_TRIES, _WITHOUT_EFFECT = 20, 4
# Seconds after which an edit is looked for once more: longer than libvirt takes for a definition.
_SECOND_LOOK = 0.03
_ELEMENT, _DESCRIPTION = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_METADATA_DESCRIPTION
_TITLE = libvirt.VIR_DOMAIN_METADATA_TITLE


@dataclass(frozen=True, slots=True)
class _Edit:
    """How one kind of document is read, changed and written. A change made on its own result changes nothing.

    *writer* makes ready what makes the second text out of the first.
    """

    read: Callable[[], str]
    change: Callable[[str], str]
    writer: Callable[[str, str], Callable[[], object]]
    same: Callable[[str, str], bool]

    def run(self, name: str) -> None:
        """Make the change on what is there now; raises Refused when it does not hold."""
        before, without_effect = self.read(), 0
        for _ in range(_TRIES):
            wanted = self.change(before)
            if self.same(wanted, before):
                return
            assert self.same(self.change(wanted), wanted), "an edit that may have to be made again says what is to be"
            write = self.writer(before, wanted)
            # Nothing that takes time may come between.
            if (now := self.read()) == before:
                try:
                    write()
                except libvirt.libvirtError:
                    if self.read() == before:
                        raise
                if self._holds():
                    return
                # Others may have written back what they had read, but not each time.
                if (now := self.read()) == before and (without_effect := without_effect + 1) == _WITHOUT_EFFECT:
                    raise Refused(f"“{name}” was not changed: libvirt took the new configuration and kept the old one")
            before = now
        raise Refused(f"“{name}” was not changed as asked: another program keeps changing it; look, and try again")

    def _holds(self) -> bool:
        for pause in (0, _SECOND_LOOK):
            time.sleep(pause)
            now = self.read()
            if not self.same(self.change(now), now):
                return False
        return True


def edit_config(domain: Handle, name: str, change: Callable[[DomainEdit], None]) -> None:
    """Apply *change* to what the domain's next start uses; libvirt is only told when something differs.

    *change* says what is to be; it may be called several times. Raises Refused for a domain that libvirt does not keep.
    """

    def read() -> str:
        _refuse_transient(domain, name)
        return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))

    def changed(text: str) -> str:
        document = DomainEdit(text)
        change(document)
        return document.xml()

    def writer(before: str, wanted: str) -> Callable[[], object]:
        part = part_writer(domain, parse(before), parse(wanted))
        whole = partial(domain.connect().defineXML, wanted)

        def write() -> None:
            try:
                (part or whole)()
            except libvirt.libvirtError as error:
                if not part or not is_unsupported(error) or read() != before:
                    raise
                whole()

        return write

    with edit_lock(domain.UUIDString(), name):
        _Edit(read, changed, writer, _same_xml).run(name)
        carry_to_saved(domain)


def edit_metadata(domain: Handle, name: str, change: Callable[[MetadataEdit], None]) -> None:
    """Apply *change*, which may be called several times, to our metadata, now and for later starts.

    A running domain may have been started with something else: but for its network, which is what it runs with, it says
    then what later starts say.
    """

    def read() -> str:
        return _metadata(domain, _ELEMENT, metadata.NAMESPACE)

    def changed(text: str) -> str:
        edit = MetadataEdit.of_text(text)
        change(edit)
        edit.adopt()
        return edit.xml()

    def writer(_before: str, wanted: str) -> Callable[[], object]:
        config = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else _affected(domain)
        return partial(domain.setMetadata, _ELEMENT, wanted, metadata.PREFIX, metadata.NAMESPACE, config)

    with edit_lock(domain.UUIDString(), name):
        _Edit(read, changed, writer, _same_xml).run(name)
        _carry_to_running(domain, read(), changed)
        carry_to_saved(domain)


def _carry_to_running(domain: Handle, stored: str, change: Callable[[str], str]) -> None:
    """Let a running domain's record be that of its later starts, but for its network; *change* is made there too."""
    if not (domain.isPersistent() and domain.isActive()):
        return
    live = libvirt.VIR_DOMAIN_AFFECT_LIVE
    try:
        present = _metadata(domain, _ELEMENT, metadata.NAMESPACE, live)
        wanted = change(metadata.with_network_of(stored, present))
        if not _same_xml(present, wanted):
            domain.setMetadata(_ELEMENT, wanted, metadata.PREFIX, metadata.NAMESPACE, live)
    except libvirt.libvirtError:
        # It may have ended meanwhile.
        if domain.isActive():
            raise


def set_notes(domain: Handle, name: str, text: str, check: Callable[[str], object] = lambda _present: None) -> None:
    """Set the description, now and for later starts; raises Refused when libvirt has another one then.

    *check* gets what is there now, and raises where that is not to be written over.
    """

    def change(present: str) -> str:
        check(present)
        return text

    def writer(_before: str, _wanted: str) -> Callable[[], object]:
        return partial(domain.setMetadata, _DESCRIPTION, text or None, None, None, _affected(domain))

    with edit_lock(domain.UUIDString(), name):
        _Edit(lambda: _metadata(domain, _DESCRIPTION, None), change, writer, operator.eq).run(name)
        carry_to_saved(domain)


def set_title(domain: Handle, name: str, title: str) -> None:
    """Set the title, now and for later starts; raises Refused when libvirt has another one then. Empty is none."""

    def writer(_before: str, _wanted: str) -> Callable[[], object]:
        return partial(domain.setMetadata, _TITLE, title or None, None, None, _affected(domain))

    with edit_lock(domain.UUIDString(), name):
        _Edit(lambda: _metadata(domain, _TITLE, None), lambda _present: title, writer, operator.eq).run(name)


def rename(domain: Handle, name: str, new_name: str) -> None:
    """Give a halted domain another name."""
    with edit_lock(domain.UUIDString(), name):
        _refuse_transient(domain, name)
        domain.rename(new_name, 0)


def _refuse_transient(domain: Handle, name: str) -> None:
    # virDomainDefineXML would make it persistent.
    if not domain.isPersistent():
        raise Refused(
            f"“{name}” is a transient domain: it ends with its run, and has no later start to set anything for"
        )


def _metadata(domain: Handle, kind: int, namespace: str | None, of: int | None = None) -> str:
    flag = of if of is not None else libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
    try:
        return str(domain.metadata(kind, namespace, flag))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return ""
        raise


def _affected(domain: Handle) -> int:
    flags = 0
    if domain.isActive():
        flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
    if domain.isPersistent():
        flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG
    return flags


def _same_xml(one: str, other: str) -> bool:
    return one == other or bool(one and other and canonical(parse(one)) == canonical(parse(other)))
