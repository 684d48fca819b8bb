"""Which rule decides a call."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from qubes_manager.core.policy.evaluation import Policy
from qubes_manager.core.policy.subject import System
from qubes_manager.core.policy.tokens import Kind
from qubes_manager.core.policy.words import explain
from qubes_manager.ui.dialogs.policy.cells import chosen, new_choice, offer
from qubes_manager.ui.look.plain import PlainLabel


class CallPage(QWidget):
    """Asks for a call, and says what would become of it and why."""

    def __init__(self) -> None:
        super().__init__()
        self._policy: Policy | None = None
        self._system: System = {}
        self.service = new_choice("Service", editable=True)
        self.source = new_choice("Domain that asks")
        self.target = new_choice("What it asks for", editable=True)
        self.answer = PlainLabel(wraps=True)
        self.answer.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.answer.setAccessibleName("What becomes of it")
        form = QFormLayout()
        for words, choice in (
            ("&Service, or SERVICE+ARGUMENT", self.service),
            ("Domain that &asks", self.source),
            ("What it asks &for", self.target),
        ):
            form.addRow(words, choice)
            choice.currentTextChanged.connect(self._explain)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.answer)
        layout.addStretch(1)

    def show_policy(self, policy: Policy, system: System) -> None:
        """Decide by *policy* among the domains of *system* from now on."""
        self._policy, self._system = policy, system
        names = [(name, name) for name in sorted(system)]
        services = sorted({rule.service for rule in policy.rules if rule.service})
        new = [
            (f"a new disposable of {name}", Kind.NEW_OF.value + name)
            for name, subject in sorted(system.items())
            if subject.template_for_dispvms
        ]
        tokens = [("nothing named: the user chooses", Kind.DEFAULT.value), ("a new disposable", Kind.NEW.value), *new]
        offer(self.service, [(name, name) for name in services])
        offer(self.source, names)
        offer(self.target, [*tokens, *names])
        self._explain()

    def _explain(self) -> None:
        service, _, argument = chosen(self.service).partition("+")
        if self._policy and service and chosen(self.source):
            explanation = explain(
                self._policy, service, argument, chosen(self.source), chosen(self.target), self._system
            )
            self.answer.setText("\n".join(explanation.lines))
        else:
            self.answer.setText("")
