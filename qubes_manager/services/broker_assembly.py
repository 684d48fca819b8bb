"""The wiring of the broker of a connection."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from qubes_manager.core.crossing.broker_messages import News
from qubes_manager.core.crossing.services import FILECOPY
from qubes_manager.services.assembly import Services
from qubes_manager.services.broker.calls.calls import Calls
from qubes_manager.services.broker.calls.host_services import HostServices
from qubes_manager.services.broker.calls.targets import Targets
from qubes_manager.services.broker.clipboard.clipboard import InterDomainClipboard
from qubes_manager.services.broker.clipboard.clipboard_policy import ClipboardPolicy
from qubes_manager.services.broker.deciding.asking import Asker
from qubes_manager.services.broker.deciding.decisions import Decisions
from qubes_manager.services.broker.deciding.recording import Recorder
from qubes_manager.services.broker.deciding.session_answers import SessionAnswers
from qubes_manager.services.broker.desktop.notices import Notices
from qubes_manager.services.broker.desktop.screens import Screens
from qubes_manager.services.broker.devices.assignments import AssignmentKeeper
from qubes_manager.services.broker.disposables.disposal import DisposalKeeper
from qubes_manager.services.broker.disposables.preload import PreloadKeeper
from qubes_manager.services.broker.disposables.windows import OpenWindows
from qubes_manager.services.broker.files.conversions import Conversions
from qubes_manager.services.broker.files.copies import Copies
from qubes_manager.services.broker.files.ends import Ends
from qubes_manager.services.broker.files.file_policy import FilePolicy
from qubes_manager.services.broker.files.listing import Listing
from qubes_manager.services.broker.files.new_disposables import NewDisposables
from qubes_manager.services.broker.files.openings import Openings
from qubes_manager.services.broker.files.reach import Reach
from qubes_manager.services.broker.files.receiving import Receiving
from qubes_manager.services.broker.files.running_copies import RunningCopies
from qubes_manager.services.broker.followers import Followers
from qubes_manager.services.broker.guests.host_calls import HostCalls
from qubes_manager.services.broker.guests.sessions import Sessions
from qubes_manager.services.broker.guests.tools_record import ToolsRecord
from qubes_manager.services.broker.known_domains import KnownDomains
from qubes_manager.services.broker.lineage import Lineage
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.broker.service import Broker
from qubes_manager.services.broker.transfers import Transfers
from qubes_manager.services.crossing.address import socket_path
from qubes_manager.services.devices.watch import DeviceWatch


class BrokerParts:
    """One of each part, over the services of the connection *uri*; ``program`` has them all."""

    def __init__(self, services: Services, uri: str) -> None:
        self._services = services
        self._uri = uri

    @cached_property
    def followers(self) -> Followers:
        """Who hears of what happens."""
        return Followers(self._standing)

    @cached_property
    def screens(self) -> Screens:
        """Where the user may be asked."""
        return Screens()

    @cached_property
    def transfers(self) -> Transfers:
        """What crosses."""
        transfers = Transfers()
        transfers.changed.connect(self.followers.tell)
        return transfers

    @cached_property
    def lineage(self) -> Lineage:
        """Whose doing a disposable is."""
        return Lineage(self._services.store)

    @cached_property
    def known(self) -> KnownDomains:
        """Domains that have been read."""
        return KnownDomains(self._uri, self._services.store)

    @cached_property
    def notices(self) -> Notices:
        """Notices on the desktop."""
        return Notices(self.screens, self.lineage)

    @cached_property
    def session(self) -> SessionAnswers:
        """What the user has said for longer than one request."""
        session = SessionAnswers(self._uri, self._services.store, self.lineage)
        session.changed.connect(self.followers.tell)
        return session

    @cached_property
    def recorder(self) -> Recorder:
        """The log of decisions."""
        return Recorder(self._services.audit, self.lineage)

    @cached_property
    def asker(self) -> Asker:
        """Asking the user."""
        return Asker(self.screens, self.session, lambda: self._services.settings_file.load()[0].appearance)

    @cached_property
    def assignments(self) -> AssignmentKeeper:
        """Devices that domains are to have."""
        services = self._services
        watch = DeviceWatch(services.hosts, services.store, services.devices, self._uri)
        return AssignmentKeeper(
            services.store, services.devices, services.assigned_devices, watch, self.asker.ask, self.notices
        )

    @cached_property
    def decisions(self) -> Decisions:
        """Whether a call may go ahead."""
        services = self._services
        return Decisions(
            self._uri,
            services.store,
            services.policy_files,
            services.defaults,
            self.recorder,
            self.asker,
            self.notices,
            self.session,
        )

    @cached_property
    def sessions(self) -> Sessions:
        """The talks with guests."""
        return Sessions(self._services.hosts, self._services.store, lambda: socket_path(self._uri))

    @cached_property
    def host_calls(self) -> HostCalls:
        """This machine's calls of guests."""
        return HostCalls(self.sessions)

    @cached_property
    def clipboard(self) -> InterDomainClipboard:
        """The inter-domain clipboard."""
        return InterDomainClipboard(
            self._services.store,
            self.known,
            self.host_calls.ask,
            ClipboardPolicy(self.decisions).require,
            lambda: self._services.gui_options.load()[0],
            self.followers.tell,
        )

    @cached_property
    def reach(self) -> Reach:
        """By which way files of domains are reached."""
        return Reach(self.known, self.sessions, self._services.commands)

    @cached_property
    def ends(self) -> Ends:
        """Where copies come from, and go to."""
        return Ends(self._services.store, self.known, self.reach, self.host_calls, Path.home())

    @cached_property
    def running_copies(self) -> RunningCopies:
        """Copies that go on."""
        return RunningCopies(self.transfers)

    @cached_property
    def file_policy(self) -> FilePolicy:
        """What the user may do with files."""
        return FilePolicy(self.decisions)

    @cached_property
    def copies(self) -> Copies:
        """Copies that the user wants."""
        services = self._services
        return Copies(
            services.hosts, services.store, services.lifecycle, self.ends, self.file_policy, self.running_copies
        )

    @cached_property
    def openings(self) -> Openings:
        """Opening files in disposables."""
        store, running = self._services.store, self.running_copies
        return Openings(store, self.new_disposables, self.host_calls, self.ends, self.file_policy, running)

    @cached_property
    def conversions(self) -> Conversions:
        """Clean copies of files."""
        return Conversions(self.new_disposables, self.host_calls, self.running_copies)

    @cached_property
    def new_disposables(self) -> NewDisposables:
        """Those in which files are opened, or made clean."""
        services = self._services
        return NewDisposables(self._uri, services.store, self.known, services.disposables)

    @cached_property
    def receiving(self) -> Receiving:
        """Files that domains send."""
        return Receiving(self.ends, self.reach, self.notices, self.followers.tell)

    @cached_property
    def listing(self) -> Listing:
        """What folders of domains hold."""
        return Listing(self.known, self.reach, self.host_calls)

    @cached_property
    def host_services(self) -> HostServices:
        """What this machine serves."""
        services = HostServices(self.notices)
        services.serve(FILECOPY, self.receiving.serve_host)
        return services

    @cached_property
    def calls(self) -> Calls:
        """Guests' calls."""
        services = self._services
        targets = Targets(services.store, services.lifecycle, services.disposables, self.lineage)
        return Calls(
            self.decisions, targets, self.host_services, self.transfers, self.sessions, self.receiving.stand_in
        )

    @cached_property
    def requests(self) -> Requests:
        """Who answers what."""
        requests = Requests()
        for part in (self.followers, self.screens, self.transfers, self.session, self.clipboard):
            part.serve(requests)
        for files in (self.listing, self.copies, self.openings, self.conversions, self.running_copies):
            files.serve(requests)
        return requests

    def program(self, grace: float) -> Broker:
        """The program; it stays *grace* seconds without work."""
        services, uri, sessions = self._services, self._uri, self.sessions
        windows = OpenWindows()
        broker = Broker(uri, services.hosts, self.requests, grace)
        broker.stay_for(self.transfers, sessions, self.clipboard, self.session)
        broker.at_end(self.running_copies.close, self.calls.close, sessions.close, self.recorder.close)
        self.followers.told.connect(lambda _news: broker.end_when_idle())
        sessions.changed.connect(broker.end_when_idle)
        broker.left.connect(self.followers.leave)
        broker.left.connect(self.screens.withdraw)
        broker.add(
            windows,
            self.assignments,
            ToolsRecord(sessions, services.guest_tools.record),
            DisposalKeeper(uri, services.store, services.disposables, services.commands, windows.count),
            PreloadKeeper(
                uri,
                services.hosts,
                services.store,
                services.disposable_starts,
                services.preloaded,
                services.disposables,
                services.defaults,
            ),
        )
        return broker

    def _standing(self) -> Iterator[News]:
        yield from self.transfers.statuses
        if not self.clipboard.is_idle:
            yield self.clipboard.status
        if not self.session.is_idle:
            yield self.session.rules
