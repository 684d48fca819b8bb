"""What else in a domain's XML decides a setting.

libvirt would take the new value and keep to the other element, or refuse both in words of its own. So that is said
before anything is written.
"""

from math import prod

from lxml import etree

from qubes_manager.core.errors import Refused

_EDIT = "change that with “virsh edit”"


def refuse_memory(domain: etree._Element, maximum: int, present: int) -> None:
    """Raise Refused when others of the domain's parts say that it has *present* KiB, and not *maximum*."""
    if maximum != present and domain.find("cpu/numa/cell") is not None:
        raise Refused(f"its NUMA cells have {present // 1024} MiB together: {_EDIT}")


def has_balloon(domain: etree._Element) -> bool:
    """Whether the domain can start with less than its most memory."""
    return domain.find("devices/memballoon[@model='none']") is None


def refuse_vcpus(domain: etree._Element, count: int, most: int) -> None:
    """Raise Refused when others of the domain's parts say that it does not start with *count* processors of *most*."""
    if (listed := domain.findall("vcpus/vcpu")) and count != sum(e.get("enabled") == "yes" for e in listed):
        raise Refused(f"its <vcpus> element says which processors are on: {_EDIT}")
    if (topology := domain.find("cpu/topology")) is not None:
        parts = {part: int(topology.get(part, "1")) for part in ("sockets", "dies", "clusters", "cores", "threads")}
        if prod(parts.values()) != most:
            made_of = " × ".join(f"{number} {part}" for part, number in parts.items() if part in topology.attrib)
            raise Refused(f"its processor topology is {made_of}, not {most} processors: {_EDIT}")
    highest = max((_highest(cell.get("cpus", "")) for cell in domain.iterfind("cpu/numa/cell")), default=-1)
    if highest >= most:
        raise Refused(f"its NUMA cells have the processors 0 to {highest}: {_EDIT}")


def _highest(cpus: str) -> int:
    """The highest number in a list such as ``0-3,^1,8``; -1 where there is none."""
    numbers = (part.rpartition("-")[2] for part in cpus.split(",") if not part.startswith("^"))
    return max((int(number) for number in numbers if number.isdecimal()), default=-1)
