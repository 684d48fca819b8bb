"""A domain's device assignments, as elements of our metadata."""

from collections.abc import Iterable

from lxml import etree

from qubes_manager.core.devices.assignment import Assignment, Mode, parse_options
from qubes_manager.core.devices.identity import ANY, DeviceClass
from qubes_manager.core.errors import BadInput

ASSIGNMENT = "assignment"
_CLASSES = {klass.value: klass for klass in DeviceClass}
_MODES = {mode.value: mode for mode in Mode}


def read_assignment(element: etree._Element) -> Assignment | None:
    """The assignment that an element says; None for one of a later version of this program, or one without a device."""
    klass, mode = _CLASSES.get(element.get("class", "")), _MODES.get(element.get("mode", ""))
    port, ident = element.get("port", ANY), element.get("device", ANY)
    if klass is None or mode is None or port == ident == ANY:
        return None
    try:
        options = parse_options(element.get("options", "").split())
    except BadInput:
        return None
    return Assignment(klass, port, ident, mode, options)


def attributes_of(assignment: Assignment) -> dict[str, str]:
    """What its element says."""
    return {
        "class": assignment.klass.value,
        "port": assignment.port,
        "device": assignment.ident,
        "mode": assignment.mode.value,
        **(
            {"options": " ".join(f"{name}={value}" for name, value in assignment.options)} if assignment.options else {}
        ),
    }


def put_assignments(root: etree._Element, name: str, assignments: Iterable[Assignment]) -> None:
    """Let the children *name* of our element say *assignments*; those that are not understood stay."""
    for element in root.findall(name):
        if read_assignment(element) is not None:
            root.remove(element)
    for assignment in assignments:
        etree.SubElement(root, name, attributes_of(assignment))
