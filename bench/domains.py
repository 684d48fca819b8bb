"""Many domains for libvirt's test driver."""

import uuid
from pathlib import Path

_RUNNING, _SHUT_OFF = 1, 5
_LABELS = ("red", "orange", "yellow", "green", "gray", "blue", "purple", "black")
_DOMAIN = """<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
<name>domain-{number:05d}</name><uuid>{uuid}</uuid><memory>524288</memory><vcpu>2</vcpu><os><type>hvm</type></os>
<metadata><qm:domain xmlns:qm="https://qubes-manager.org/xmlns/domain/1"><qm:label>{label}</qm:label>
<qm:class>AppVM</qm:class><qm:template>debian-12</qm:template></qm:domain></metadata>
<test:runstate>{state}</test:runstate></domain>"""


def write_domains(target: Path, count: int) -> Path:
    """Write a description of *count* domains, every other one running, for ``test://PATH``."""
    domains = (
        _DOMAIN.format(
            number=number,
            uuid=uuid.UUID(int=number + 1),
            label=_LABELS[number % len(_LABELS)],
            state=_RUNNING if number % 2 else _SHUT_OFF,
        )
        for number in range(count)
    )
    target.write_text("<node>" + "\n".join(domains) + "</node>")
    return target
