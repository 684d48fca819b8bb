"""libvirt's elements of QEMU's own namespace (https://libvirt.org/drvqemu.html#pass-through-of-arbitrary-qemu-commands)."""

from lxml import etree

_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"


def part(place: etree._Element, tag: str, /, **attributes: str) -> etree._Element:
    """An element of *place*, which is made where there is none of these attributes."""
    tag = f"{{{_QEMU}}}{tag}"
    found = place.find(tag + "".join(f"[@{key}='{value}']" for key, value in attributes.items()))
    return etree.SubElement(place, tag, attributes, nsmap={"qemu": _QEMU}) if found is None else found


def drop(root: etree._Element, place: etree._Element, part: etree._Element) -> None:
    """Take a part of *place* away, and *place* itself where it was the only one."""
    place.remove(part)
    if not len(place):
        root.remove(place)


def variable(root: etree._Element, name: str) -> str:
    """The value of a variable that a domain's emulator is started with; empty where there is none."""
    found = root.find(f"{{{_QEMU}}}commandline/{{{_QEMU}}}env[@name='{name}']")
    return found.get("value", "") if found is not None else ""


def set_variable(root: etree._Element, name: str, value: str) -> None:
    """Let a domain's emulator be started with a variable; an empty value takes it away."""
    variables = part(root, "commandline")
    found = part(variables, "env", name=name)
    if value:
        found.set("value", value)
    else:
        drop(root, variables, found)
