"""What the user has said for the session: whom it covers, and when it ends."""

from dataclasses import replace

import pytest

from qubes_manager.core.crossing.question import Choice, Question
from qubes_manager.core.crossing.session_messages import MAX_RULES, SessionGrant, SessionRules
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.services.broker.deciding.session_answers import Blocked, SessionAnswers
from qubes_manager.services.broker.lineage import Lineage
from qubes_manager.services.hosts.store import DomainStore

URI = "test:///x"
KEYS = {name: DomainKey(URI, f"00000000-0000-4000-8000-00000000000{n}") for n, name in enumerate(("untrusted", "work"))}
UNTRUSTED, WORK = (key.uuid for key in KEYS.values())
QUESTION = Question(
    "untrusted",
    "red",
    "qubes.Filecopy",
    choices=(Choice("work", "work", uuid=WORK), Choice("@dispvm:work", "New disposable", uuid=WORK)),
    source_uuid=UNTRUSTED,
)
GRANT = SessionGrant("untrusted", "qubes.Filecopy", "", "work")


class World:
    def __init__(self) -> None:
        self.store = DomainStore()
        self.lineage = Lineage(self.store)
        self.session = SessionAnswers(URI, self.store, self.lineage)
        self.keys = KEYS
        self.told: list[SessionRules] = []
        self.session.changed.connect(self.told.append)

    def is_now(self, name: str, state: DomainState, called: str = "", run: int = 1) -> None:
        self.store.put([Domain(self.keys[name], called or name, state, run)])
        self.store.flush()

    def goes(self, name: str) -> None:
        self.store.remove([self.keys[name]])
        self.store.flush()


@pytest.fixture
async def world() -> World:
    world = World()
    for name in world.keys:
        world.is_now(name, DomainState.RUNNING)
    return world


async def test_what_was_allowed_is_not_asked_again(world: World) -> None:
    assert world.session.granted(QUESTION) == ""

    world.session.grant(QUESTION, "work")

    assert world.session.granted(QUESTION) == "work"
    assert world.session.granted(replace(QUESTION, requested="work")) == "work"
    assert world.told == [SessionRules((GRANT,))]


@pytest.mark.parametrize(
    "other",
    [
        replace(QUESTION, source="work", source_uuid=WORK),
        replace(QUESTION, source_uuid=WORK),
        replace(QUESTION, choices=(Choice("work", "work", uuid=UNTRUSTED),)),
        replace(QUESTION, service="qubes.OpenInVM"),
        replace(QUESTION, argument="allow-all-names"),
        replace(QUESTION, requested="@dispvm:work"),
        replace(QUESTION, choices=(Choice("vault", "vault"),)),
    ],
    ids=[
        "another source",
        "another one of its name",
        "another target of its name",
        "another service",
        "another argument",
        "another target",
        "not allowed any more",
    ],
)
async def test_all_else_is_asked(world: World, other: Question) -> None:
    world.session.grant(QUESTION, "work")

    assert world.session.granted(other) == ""


async def test_a_grant_of_a_named_target_is_none_for_calls_that_name_nothing(world: World) -> None:
    world.session.grant(replace(QUESTION, requested="work"), "work")

    assert world.session.granted(QUESTION) == ""


@pytest.mark.parametrize("who", ["untrusted", "work"])
@pytest.mark.parametrize("state", [DomainState.HALTED, DomainState.CRASHED, DomainState.SAVED], ids=str)
async def test_a_grant_ends_when_either_stops(world: World, who: str, state: DomainState) -> None:
    world.session.grant(QUESTION, "work")

    world.is_now(who, DomainState.PAUSED)
    assert world.session.granted(QUESTION) == "work"
    world.is_now(who, state)
    world.is_now(who, DomainState.RUNNING)

    assert world.session.granted(QUESTION) == ""
    assert world.told[-1] == SessionRules()


@pytest.mark.parametrize("who", ["untrusted", "work"])
async def test_a_grant_ends_when_either_was_started_again_so_soon_that_its_end_was_not_seen(
    world: World, who: str
) -> None:
    world.session.grant(QUESTION, "work")

    world.is_now(who, DomainState.RUNNING, run=2)

    assert world.session.granted(QUESTION) == ""


@pytest.mark.parametrize("who", ["untrusted", "work"])
async def test_a_grant_ends_when_either_goes_or_is_renamed(world: World, who: str) -> None:
    world.session.grant(QUESTION, "work")
    world.is_now(who, DomainState.RUNNING, called="other")
    assert world.session.granted(QUESTION) == ""

    world.is_now(who, DomainState.RUNNING)
    world.session.grant(QUESTION, "work")
    world.goes(who)
    assert world.session.granted(QUESTION) == ""


async def test_a_target_that_is_started_for_the_call_keeps_its_grant(world: World) -> None:
    world.is_now("work", DomainState.HALTED)
    world.session.grant(QUESTION, "work")

    world.is_now("work", DomainState.RUNNING)
    assert world.session.granted(QUESTION) == "work"
    world.is_now("work", DomainState.HALTED)
    assert world.session.granted(QUESTION) == ""


async def test_a_grant_is_revoked_once(world: World) -> None:
    world.session.grant(QUESTION, "work")

    world.session.revoke(GRANT)

    assert world.session.granted(QUESTION) == ""
    with pytest.raises(NotFound):
        world.session.revoke(GRANT)


async def test_a_block_outlives_a_restart_and_a_new_name_but_no_removal(world: World) -> None:
    world.session.block(UNTRUSTED, "untrusted")
    for state in (DomainState.HALTED, DomainState.RUNNING):
        world.is_now("untrusted", state, called="renamed")
    with pytest.raises(Blocked, match="you have blocked"):
        world.session.require_unblocked(UNTRUSTED)
    world.session.require_unblocked(WORK)
    assert world.told[-1] == SessionRules((), ("renamed",))

    world.goes("untrusted")
    assert world.session.rules == SessionRules()


async def test_a_block_is_lifted(world: World) -> None:
    world.session.block(UNTRUSTED, "untrusted")

    world.session.unblock("untrusted")

    world.session.require_unblocked(UNTRUSTED)
    with pytest.raises(NotFound, match="not blocked"):
        world.session.unblock("untrusted")


async def test_a_block_holds_for_the_disposables_that_a_domain_has_had_made(world: World) -> None:
    with world.lineage.place(world.keys["untrusted"]) as note:
        note(world.keys["work"])
    assert world.session.maker(WORK) == "untrusted"
    assert world.session.maker(UNTRUSTED) == ""

    world.session.block(UNTRUSTED, "untrusted")

    with pytest.raises(Blocked):
        world.session.require_unblocked(WORK)


async def test_a_block_of_a_disposable_is_none_of_who_had_it_made(world: World) -> None:
    with world.lineage.place(world.keys["work"]) as note:
        note(world.keys["untrusted"])
    world.session.block(UNTRUSTED, "untrusted")

    world.session.require_unblocked(WORK)


async def test_what_cannot_be_kept_is_said_so(world: World) -> None:
    for number in range(MAX_RULES):
        world.session.grant(replace(QUESTION, argument=str(number)), "work")
    with pytest.raises(Refused, match="pairs are allowed for the session already: revoke one first"):
        world.session.grant(QUESTION, "work")
    world.goes("untrusted")
    with pytest.raises(Refused, match="“untrusted” is not there any more"):
        world.session.block(UNTRUSTED, "untrusted")
    many = [
        Domain(DomainKey(URI, f"{n:08}-0000-4000-8000-000000000009"), f"d{n}", DomainState.HALTED)
        for n in range(MAX_RULES)
    ]
    world.store.put(many)
    for domain in many:
        world.session.block(domain.key.uuid, domain.name)
    with pytest.raises(Refused, match="domains are blocked already: unblock one first"):
        world.session.block(WORK, "work")


async def test_disposables_of_a_domain_are_allowed_until_that_has_another_name(world: World) -> None:
    world.session.grant(QUESTION, "@dispvm:work")
    world.is_now("work", DomainState.HALTED)
    assert world.session.granted(QUESTION) == "@dispvm:work"
    world.is_now("work", DomainState.HALTED, called="other")
    assert world.session.granted(QUESTION) == ""
