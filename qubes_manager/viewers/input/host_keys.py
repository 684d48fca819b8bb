"""Which keys over a domain's windows are the host's: those of the clipboard and of full screen."""

from collections.abc import Collection
from enum import Enum

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.key_sequence import KeySequence, parse_key_sequence


class HostAction(Enum):
    """What keys of the host do."""

    COPY = "copy"
    PASTE = "paste"
    FULL_SCREEN = "full screen"
    SWITCH_LAYOUT = "switch layout"


class HostKeys:
    """Tells of each key whether it is kept from the guest, which then never sees it.

    A key stays whose it was when it went down: one that is kept from the guest until it is let go, whatever becomes of
    the modifiers meanwhile, and one that the guest has seen go down it sees going up.
    """

    def __init__(self, rules: GuiRules) -> None:
        self._kept: set[int] = set()
        self._guest_s: set[int] = set()
        self.change_rules(rules)

    def change_rules(self, rules: GuiRules) -> None:
        """Keep other keys from now on."""
        self._sequences: tuple[tuple[HostAction, KeySequence], ...] = tuple(
            (action, parse_key_sequence(keys))
            for action, keys in (
                (HostAction.COPY, rules.copy_keys),
                (HostAction.PASTE, rules.paste_keys),
                (HostAction.FULL_SCREEN, rules.fullscreen_keys),
            )
        )

    def press(
        self, keycode: int, names: Collection[str], modifiers: Collection[str], switches_layout: bool = False
    ) -> tuple[bool, HostAction | None]:
        """Whether a key that goes down is kept, and what it is to do: once, however long it is held.

        *names* are what X calls it, on whichever of the user's layouts; *modifiers* are those that were held before.
        """
        if keycode in self._kept:
            return True, None
        if keycode not in self._guest_s:
            action = HostAction.SWITCH_LAYOUT if switches_layout else self._meant(names, modifiers)
            if action:
                self._kept.add(keycode)
                return True, action
        self._guest_s.add(keycode)
        return False, None

    def release(self, keycode: int) -> bool:
        """Whether a key that goes up is kept."""
        self._guest_s.discard(keycode)
        kept = keycode in self._kept
        self._kept.discard(keycode)
        return kept

    def forget(self) -> None:
        """The keyboard has gone elsewhere: which keys are let go there is not heard of."""
        self._kept.clear()
        self._guest_s.clear()

    def _meant(self, names: Collection[str], modifiers: Collection[str]) -> HostAction | None:
        for action, sequence in self._sequences:
            if any(sequence.fits(modifiers, name) for name in names):
                return action
        return None
