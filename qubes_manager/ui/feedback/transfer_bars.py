"""Bars of what crosses without this window having begun it: a guest's copy, a command's, a disposable that starts."""

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from PySide6.QtCore import QTimer

from qubes_manager.core.crossing.broker_messages import TransferPhase, TransferStatus
from qubes_manager.core.crossing.transfer_words import goes_on, how_far, title
from qubes_manager.ui.feedback.message_bar import Level, MessageBar, ProgressMessage
from qubes_manager.ui.feedback.transfer_watch import TransferWatch, Watched

# What is over sooner needs no bar, and who begins a copy here has said by then which it is.
_DELAY_MS = 800
# More than this would push the table away, which guests must not.
_MOST = 2
_Key = tuple[str, int]


class TransferBars:
    """Shows them in *bar*, which nothing else uses. *is_own* knows the transfers that have a bar already, by link and
    number; *show_all* lists what has none for want of room.
    """

    def __init__(
        self,
        bar: MessageBar,
        watch: TransferWatch,
        is_own: Callable[[str, int], bool],
        spawn: Callable[[Coroutine[Any, Any, Any]], object],
        show_all: Callable[[], object],
    ) -> None:
        self._bar = bar
        self._watch = watch
        self._is_own = is_own
        self._spawn = spawn
        self._show_all = show_all
        # Whether those that go on may have a bar; None until that is known.
        self._may_be_shown: dict[_Key, bool | None] = {}
        self._shown: dict[_Key, ProgressMessage] = {}
        self._stopped: set[_Key] = set()
        self._more = 0
        watch.changed.connect(self._update)

    def _update(self) -> None:
        running = {_key(watched): watched for watched in self._watch.running}
        for key in self._may_be_shown.keys() - running:
            self._take_away(key)
        for key in running.keys() - self._may_be_shown:
            self._may_be_shown[key] = None
            QTimer.singleShot(_DELAY_MS, self._bar, lambda key=key: self._decide(key))
        worth = {k: w for k, w in running.items() if self._may_be_shown[k] and goes_on(w[1])}
        chosen = _chosen(worth)
        for key in self._shown.keys() - chosen:
            self._shown.pop(key).close()
        for key in chosen:
            self._show(key, worth[key])
        self._tell_of_more(len(worth) - len(self._shown))

    def _decide(self, key: _Key) -> None:
        if key in self._may_be_shown:
            self._may_be_shown[key] = not self._is_own(*key)
            self._update()

    def _show(self, key: _Key, watched: Watched) -> None:
        status = watched[1]
        text = f"{title(status)}, {how_far(status)}…"
        if key not in self._shown:
            self._shown[key] = self._bar.show_progress(text, [("Cancel", lambda: self._stop(key, watched))])
        self._shown[key].update(text, min(status.moved, status.total), status.total)

    def _stop(self, key: _Key, watched: Watched) -> None:
        self._stopped.add(key)
        self._spawn(self._watch.cancel(watched))

    def _take_away(self, key: _Key) -> None:
        """Say how one has ended that had a bar; who stopped it here knows."""
        del self._may_be_shown[key]
        if bar := self._shown.pop(key, None):
            bar.close()
            status = next((w[1] for w in self._watch.over if _key(w) == key), None)
            if status and key not in self._stopped:
                self._tell_end(status)
        self._stopped.discard(key)

    def _tell_end(self, status: TransferStatus) -> None:
        level = Level.INFO if status.phase is TransferPhase.DONE else Level.WARNING
        why = f": {status.message}" if status.message else ""
        self._bar.show_message(level, f"{title(status)}, {status.phase.value}{why}", key="end")

    def _tell_of_more(self, count: int) -> None:
        if count == self._more:
            return
        self._more = count
        if count:
            self._bar.show_message(
                Level.INFO,
                f"{count} more cross{'es' if count == 1 else ''} now",
                buttons=[("Show all", self._show_all)],
                key="more",
                stays=True,
            )
        else:
            self._bar.dismiss("more")


def _chosen(worth: Mapping[_Key, Watched]) -> list[_Key]:
    """Those that have a bar: the first of each domain come before its others, so that no guest takes all the room."""
    seen = Counter[tuple[str, str]]()
    turns: dict[_Key, int] = {}
    for key, (link, status) in worth.items():
        source = (link.uri, status.source_uuid)
        turns[key] = seen[source]
        seen[source] += 1
    return sorted(turns, key=lambda key: turns[key])[:_MOST]


def _key(watched: Watched) -> _Key:
    return watched[0].uri, watched[1].transfer
