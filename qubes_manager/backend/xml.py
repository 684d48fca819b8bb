"""Parsing and comparing XML that others wrote."""

import copy

from lxml import etree

_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=False)


def parse(xml: str | bytes) -> etree._Element:
    """Parse XML without entities, network or comments' side effects; raises etree.XMLSyntaxError."""
    return etree.fromstring(xml, _PARSER)


def canonical(element: etree._Element) -> bytes:
    """What is the same of two elements that say the same, however they are laid out (Canonical XML 2.0)."""
    bare = copy.deepcopy(element)
    bare.tail = None
    for part in bare.iter():
        if len(part) and not (part.text or "").strip():
            part.text = None
        if not (part.tail or "").strip():
            part.tail = None
    return etree.tostring(bare, method="c14n2")
