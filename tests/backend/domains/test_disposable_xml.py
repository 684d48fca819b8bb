"""What a disposable has of its template, and what not."""

import pytest

from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.disposable_xml import DisposableBase, disposable_xml, made_of
from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.domains.microphone_xml import can_hear
from qubes_manager.backend.xml import parse
from qubes_manager.core.devices.assignment import Assignment
from qubes_manager.core.devices.identity import ANY, DeviceClass
from qubes_manager.core.domain import Disposal, Domain, DomainClass, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.core.hardware import SoundDevice
from qubes_manager.core.volumes import OwnVolume, Role

UUID = "6b3f2a3e-0a52-4c1f-8c2b-1d9d6d7f0001"
TEMPLATE = """
<domain type="qemu" xmlns:qm="https://qubes-manager.org/xmlns/domain/1">
  <name>base</name><uuid>6b3f2a3e-0a52-4c1f-8c2b-1d9d6d7f0000</uuid>
  <title>my title</title>
  <description>my notes</description>
  <metadata><qm:domain>
    <qm:label>red</qm:label><qm:class>AppVM</qm:class><qm:template uuid="t">debian</qm:template>
    <qm:template_for_dispvms>True</qm:template_for_dispvms><qm:tag>web</qm:tag>
    <qm:feature name="gui">1</qm:feature><qm:feature name="preload-dispvm-max">2</qm:feature>
    <qm:volume role="private" pool="p">base.private.qcow2</qm:volume><qm:favourites>a</qm:favourites>
  </qm:domain></metadata>
  <memory unit="MiB">512</memory><vcpu>3</vcpu>
  <os><type>hvm</type><kernel>/old/kernel</kernel></os>
  <devices>
    <disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="/p/root@1.qcow2"/>
      <target dev="vda" bus="virtio"/><transient shareBacking="yes"/></disk>
    <disk type="file" device="disk"><driver name="qemu" type="qcow2"/><source file="/p/private.qcow2"/>
      <target dev="vdb" bus="virtio"/><serial>private</serial></disk>
    <disk type="file" device="disk"><source file="/p/more.img"/><target dev="vdc" bus="virtio"/></disk>
    <disk type="file" device="cdrom"><source file="/p/disc.iso"/><target dev="sda" bus="sata"/><readonly/></disk>
    <hostdev mode="subsystem" type="usb"><source><vendor id="1"/></source></hostdev>
    <interface type="user"><mac address="52:54:00:00:00:01"/></interface>
    <serial type="pty"><log file="/log/base.log"/></serial>
  </devices>
</domain>"""
BASE = DisposableBase(
    Domain(DomainKey("test:///", "6b3f2a3e-0a52-4c1f-8c2b-1d9d6d7f0000"), "base", DomainState.HALTED),
    {Role.ROOT: OwnVolume(Role.ROOT, "p", "root@2.qcow2"), Role.FROZEN: OwnVolume(Role.FROZEN, "p", "f@1.qcow2")},
    {Role.ROOT: "/p/root@2.qcow2", Role.FROZEN: "/p/f@1.qcow2"},
)


def test_an_unnamed_one_is_its_template_but_for_what_is_its_own() -> None:
    config = parse_config(disposable_xml(TEMPLATE, BASE, UUID, "disp1", "/log/disp.log", Disposal.HELD))
    assert config.klass is DomainClass.DISPOSABLE
    assert (config.template, config.default_dispvm) == ("base", "base")
    assert config.template_uuid == config.default_dispvm_uuid == BASE.template.key.uuid
    assert config.disposal is Disposal.HELD
    assert config.label and config.label.name == "red"
    assert (config.tags, config.features) == (frozenset({"web"}), (("gui", "1"),))
    assert (config.vcpus, config.initial_memory_kib, config.netvm) == (3, 512 << 10, "open")
    assert not (config.template_for_dispvms or config.include_in_backups or config.volumes or config.favourites)
    assert (config.title, config.notes, config.kernel, config.console_log) == ("", "", "", "/log/disp.log")


def test_one_of_a_hidden_template_is_in_use_like_any_other() -> None:
    hidden = TEMPLATE.replace(
        '<qm:feature name="gui">', '<qm:feature name="internal">1</qm:feature><qm:feature name="gui">'
    )
    for internal in (False, True):
        xml = disposable_xml(hidden, BASE, UUID, "disp1", "", Disposal.HELD, internal=internal)
        assert Domain(BASE.template.key, "disp1", DomainState.RUNNING, config=parse_config(xml)).is_internal is internal


def test_it_has_its_templates_two_disks_and_writes_to_neither() -> None:
    xml = disposable_xml(TEMPLATE, BASE, UUID, "disp1", "", Disposal.HELD)
    disks = parse_config(xml).disks
    assert [(d.target, d.source, d.transient) for d in disks] == [
        ("vda", "/p/root@2.qcow2", True),
        ("vdb", "/p/f@1.qcow2", True),
    ]
    assert "hostdev" not in xml
    assert "52:54:00" not in xml


def test_one_with_a_name_is_kept_in_backups_and_ends_when_it_is_told_to() -> None:
    config = parse_config(disposable_xml(TEMPLATE, BASE, UUID, "printer", "", None))
    assert config.disposal is None
    assert config.include_in_backups


@pytest.mark.parametrize("disposal", [Disposal.HELD, None], ids=["unnamed", "named"])
def test_none_has_what_is_assigned_to_its_template_nor_hears(disposal: Disposal | None) -> None:
    edit = DomainEdit(TEMPLATE)
    edit.metadata().set_assignments([Assignment(DeviceClass.MIC, "mic", ANY), Assignment(DeviceClass.USB, "2-1", ANY)])
    edit.put_sound("unix:/of/its/template")
    assert edit.put_microphone() and len(edit.config.assignments) == 2
    xml = disposable_xml(edit.xml(), BASE, UUID, "disp1", "", disposal, sound="unix:/own")
    assert parse_config(xml).assignments == () and "qm:assignment" not in xml
    assert parse_config(xml).sound == SoundDevice("pulseaudio", "unix:/own") and not can_hear(parse(xml))
    assert made_of(edit.xml(), BASE) == made_of(TEMPLATE, BASE)


def test_a_template_without_its_private_disk_is_refused() -> None:
    bare = TEMPLATE.replace("<serial>private</serial>", "<serial>other</serial>")
    with pytest.raises(Refused, match="private volume"):
        disposable_xml(bare, BASE, UUID, "disp1", "", Disposal.HELD)


def test_each_has_the_sound_of_its_own_start_and_comes_out_the_same_otherwise() -> None:
    edit = DomainEdit(TEMPLATE)
    edit.put_sound("unix:/of/its/template")
    heard = edit.xml()
    assert made_of(heard, BASE) == made_of(TEMPLATE, BASE)
    for template in (TEMPLATE, heard):
        silent, playing = (
            parse_config(disposable_xml(template, BASE, UUID, "disp1", "", Disposal.HELD, sound=server)).sound
            for server in ("", "unix:/own")
        )
        assert (silent, playing) == (None, SoundDevice("pulseaudio", "unix:/own"))
