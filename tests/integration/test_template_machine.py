"""Any order of creating, starting, updating, reverting and removing, against a model of what must be there."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.errors import Refused
from qubes_manager.core.volumes import revisions
from tests.integration.conftest import World, remove_all
from tests.integration.monitor import quit_cleanly, reads_byte, write_byte
from tests.integration.templates import make_tiny_template, pool_files
from tests.integration.test_templates import KEPT, app

pytestmark = [pytest.mark.guest, pytest.mark.timeout(900)]
BYTES = st.integers(1, 255)


class Templates(RuleBasedStateMachine):
    """The model: what each template's revisions hold, which template an app has, what a running one started from."""

    daemon: PrivateDaemon
    guest: TinyGuest
    templates, apps = Bundle("templates"), Bundle("apps")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory(prefix="qm-", dir="/var/tmp")
        self.world = World(self.daemon.uri, watch=False)
        self.do(self.world.hosts.load(self.daemon.uri))
        self.before = self.do(pool_files(self.world))
        self.made = 0
        self.content: dict[str, dict[int, int]] = {}
        self.current: dict[str, int] = {}
        self.template_of: dict[str, str] = {}
        self.running: dict[str, int] = {}

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def key(self, name: str) -> Any:
        domain = self.world.named(name)
        assert domain
        return domain.key

    def name(self, stem: str) -> str:
        self.made += 1
        return f"{stem}{self.made}"

    @rule(target=templates)
    def make_template(self) -> str:
        name = self.name("template")
        Path(self.folder.name).chmod(0o755)
        self.do(make_tiny_template(self.world, self.guest, Path(self.folder.name), name))
        self.content[name], self.current[name] = {1: 0}, 1
        return name

    @rule(target=templates, original=templates)
    def clone_template(self, original: str) -> str:
        name = self.name("template")
        self.do(self.world.cloning.clone(self.key(original), name))
        self.content[name], self.current[name] = {1: self.content[original][self.current[original]]}, 1
        return name

    @rule(target=apps, template=templates)
    def make_app(self, template: str) -> str:
        name = self.name("app")
        self.do(self.world.creation.create(self.world.uri, app(name, template)))
        self.template_of[name] = template
        return name

    @rule(name=apps)
    def start_or_end(self, name: str) -> None:
        if name in self.running:
            self.do(self.world.lifecycle.kill(self.key(name)))
            del self.running[name]
            return
        self.do(self.world.lifecycle.start(self.key(name)))
        template = self.template_of[name]
        self.running[name] = self.content[template][self.current[template]]
        # What an app writes into its system is gone at its next start.
        assert self.do(reads_byte(self.world, self.key(name), self.running[name]))
        self.do(write_byte(self.world, self.key(name), 255 - self.running[name]))

    @rule(template=templates, value=BYTES, clean=st.booleans())
    def update(self, template: str, value: int, clean: bool) -> None:
        key = self.key(template)
        self.do(self.world.lifecycle.start(key))
        assert self.do(reads_byte(self.world, key, self.content[template][self.current[template]]))
        self.do(write_byte(self.world, key, value))
        if not clean:
            self.do(self.world.lifecycle.kill(key))
            return
        written = self.world.store.domains[key].config.trial
        self.do(quit_cleanly(self.world, self.daemon, key))
        self.do(self.world.roots.settle(key))
        self.content[template][written] = value
        self.current[template] = written

    @rule(template=templates, choice=st.integers(0, 9))
    def revert(self, template: str, choice: int) -> None:
        known = [v.revision for v in revisions(self.world.store.domains[self.key(template)].config.volumes)]
        self.current[template] = self.do(self.world.roots.revert(self.key(template), known[choice % len(known)]))

    @rule(template=templates)
    def tidy(self, template: str) -> None:
        self.do(self.world.roots.tidy(self.key(template)))

    @rule(name=apps, template=templates)
    def switch_template(self, name: str, template: str) -> None:
        self.switch(name, template)

    def switch(self, name: str, template: str) -> None:
        self.do(self.world.properties.set_template(self.key(name), template))
        self.template_of[name] = template

    @rule(name=consumes(apps))
    def remove_app(self, name: str) -> None:
        if name in self.running:
            self.do(self.world.lifecycle.kill(self.key(name)))
            del self.running[name]
        self.do(self.world.removal.remove(self.key(name)))
        del self.template_of[name]

    @precondition(lambda self: len(self.content) > 1)
    @rule(template=consumes(templates))
    def remove_template(self, template: str) -> None:
        users = [name for name, used in self.template_of.items() if used == template]
        if users:
            with pytest.raises(Refused, match="is the template of"):
                self.do(self.world.removal.remove(self.key(template)))
            for name in users:
                if name in self.running:
                    self.do(self.world.lifecycle.kill(self.key(name)))
                    del self.running[name]
            other = next(name for name in self.content if name != template)
            for name in users:
                self.switch(name, other)
        # Running apps that were switched away still stand on it.
        for name in list(self.running):
            self.do(self.world.lifecycle.kill(self.key(name)))
            del self.running[name]
        self.do(self.world.removal.remove(self.key(template)))
        del self.content[template], self.current[template]

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        domains = {d.name: d for d in self.world.store.domains.values() if d.name not in (*KEPT, "dom0")}
        assert set(domains) == set(self.content) | set(self.template_of)
        for name, number in self.current.items():
            config = domains[name].config
            assert (config.revision, config.trial, config.job) == (number, 0, None)
            assert {v.revision for v in revisions(config.volumes)} <= set(self.content[name])
        records = [v for d in domains.values() for v in d.config.volumes]
        assert not [v for v in records if v.unfinished]
        files = {name for name in self.do(pool_files(self.world)) if ".TRANSIENT-" not in name}
        assert files - set(self.before) == {v.name for v in records}

    def teardown(self) -> None:
        # Every app starts once more, and finds what its template holds now.
        for name, template in self.template_of.items():
            if name in self.running:
                self.do(self.world.lifecycle.kill(self.key(name)))
            self.do(self.world.lifecycle.start(self.key(name)))
            value = self.content[template][self.current[template]]
            assert self.do(reads_byte(self.world, self.key(name), value)), name
        self.do(remove_all(self.world, KEPT))
        assert self.do(pool_files(self.world)) == self.before
        self.do(self.world.hosts.close())
        self.folder.cleanup()
        self.loop.close()


def test_any_order_of_changes_leaves_what_the_model_says(daemon: PrivateDaemon, tiny_guest: TinyGuest) -> None:
    class Machine(Templates):
        pass

    Machine.daemon, Machine.guest = daemon, tiny_guest
    limits = settings(
        max_examples=10,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        # To look for a shorter example would take as long again many times over.
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    try:
        run_state_machine_as_test(Machine, settings=limits)
    except FlakyStrategyDefinition:
        # Hypothesis' own doubt about the examples, not a failure of one: others are taken.
        run_state_machine_as_test(Machine, settings=limits)
