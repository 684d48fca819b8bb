"""Domains that others edit while they are made."""

from dataclasses import replace

import pytest

from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.domains.finishing import merged
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.core.domain import DomainConfig, Job
from qubes_manager.core.errors import Refused
from qubes_manager.core.labels import LABELS
from qubes_manager.core.volumes import OwnVolume, Role

ROOT = OwnVolume(Role.ROOT, "p", "root.qcow2")
CONFIG = DomainConfig(label=LABELS["red"], job=Job.CREATE, volumes=(replace(ROOT, unfinished=True),))
BEGUN = NewDomain("new", CONFIG, "1").xml()
WHOLE = NewDomain("new", replace(CONFIG, job=None, volumes=(ROOT,)), "1", disks=(DiskSpec("/root.qcow2"),)).xml()


def test_what_others_set_meanwhile_stays() -> None:
    now = DomainEdit(BEGUN)
    now.set_vcpus(7)
    now.set_notes("theirs")
    now.metadata().add_tags({"money"})
    now.metadata().set_text("label", "blue")
    config = parse_config(merged("new", BEGUN, now.xml(), WHOLE))
    assert (config.vcpus, config.notes, set(config.tags), config.label) == (7, "theirs", {"money"}, LABELS["blue"])
    assert (config.job, config.volumes, [disk.source for disk in config.disks]) == (None, (ROOT,), ["/root.qcow2"])


def test_without_others_it_is_what_was_to_be() -> None:
    assert parse_config(merged("new", BEGUN, BEGUN, WHOLE)) == parse_config(WHOLE)


def test_devices_that_others_add_to_what_is_being_made_are_not_dropped_in_silence() -> None:
    now = BEGUN.replace("</devices>", "<sound model='ich9'/></devices>")
    with pytest.raises(Refused, match="another program changed the devices of “new” while it was made"):
        merged("new", BEGUN, now, WHOLE)
