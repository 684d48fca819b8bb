"""What the user is asked before something crosses to another domain, and the answer.

The broker starts ``qubes-manager ask`` for each question, and the two talk through its pipes, a line of JSON each way.
"""

from dataclasses import dataclass
from typing import ClassVar

from qubes_manager.core.crossing.guest_messages import (
    MAX_ARGUMENT,
    MAX_NAME,
    MAX_NAMES,
    MAX_SENTENCE,
    MAX_SERVICE,
)
from qubes_manager.core.json_lines import BadMessage, Fields, Message, shown

# Bytes of a question: it lists every domain that the policy allows.
MAX_QUESTION = 4 << 20
MAX_CHOICES = 10_000
# Characters of a target (libvirt bounds no names), of how it is shown, and of the names of labels and groups.
MAX_TARGET, MAX_TITLE, MAX_WORD = 300, 300, 40


@dataclass(frozen=True, slots=True)
class Choice:
    """A target that the policy allows: *target* as the policy has it (``work``, ``@dispvm:fedora-dvm``).

    *title* is how it is shown (made harmless there: names may have any characters), *label* the name of its colour or
    empty, *group* the heading under which it stands, *uuid* that of the domain, empty for this machine: the name may be
    another's by the time of the answer.
    """

    target: str
    title: str
    label: str = ""
    group: str = ""
    uuid: str = ""

    @classmethod
    def of(cls, fields: Fields) -> "Choice":
        """The choice in an object; raises BadMessage."""
        return cls(
            fields.raw("target", MAX_TARGET),
            fields.raw("title", MAX_TITLE),
            fields.text("label", MAX_WORD),
            fields.sentence("group", MAX_WORD),
            fields.raw("uuid", MAX_WORD),
        )


@dataclass(frozen=True, slots=True)
class Answer(Message):
    """What the user chose: *target* is one of the choices, or empty for no.

    *grant_session* lets the same source have the same service of the same target until the broker ends,
    *block_source* refuses what else the source asks for.
    """

    TYPE: ClassVar[str] = "answer"
    target: str = ""
    grant_session: bool = False
    block_source: bool = False

    @classmethod
    def of(cls, fields: Fields) -> "Answer":
        """The answer in a message; raises BadMessage."""
        return cls(fields.raw("target", MAX_TARGET), fields.truth("grant_session"), fields.truth("block_source"))


@dataclass(frozen=True, slots=True)
class Question(Message):
    """Whether *source* may have *service* of one of the *choices*; nothing is chosen but *default_target*, if any.

    *sentence* says in plain words what is to happen; empty for the words that go with the service. *names*, *count* and
    *size* (bytes, 0 for unknown) are the guest's own word, and so is *requested*, the target that it named, if any.
    *can_grant* offers to allow the pair for the session. *origin* is the domain that has had the source made, if any,
    *source_uuid* the source whatever it is called by the time of the answer. *source_title* is what its user calls a
    disposable, empty for others.
    """

    TYPE: ClassVar[str] = "question"
    source: str
    source_label: str
    service: str
    argument: str = ""
    sentence: str = ""
    names: tuple[str, ...] = ()
    count: int = 0
    size: int = 0
    choices: tuple[Choice, ...] = ()
    default_target: str = ""
    can_grant: bool = False
    requested: str = ""
    origin: str = ""
    source_uuid: str = ""
    source_title: str = ""

    @property
    def shown_source(self) -> str:
        """The source as people read it."""
        return f"{self.source_title} ({self.source})" if self.source_title else self.source

    @classmethod
    def of(cls, fields: Fields) -> "Question":
        """The question in a message; raises BadMessage."""
        question = cls(
            fields.raw("source", MAX_TARGET),
            fields.text("source_label", MAX_WORD),
            fields.text("service", MAX_SERVICE),
            fields.text("argument", MAX_ARGUMENT),
            fields.sentence("sentence", MAX_SENTENCE),
            fields.sentences("names", MAX_NAMES, MAX_NAME),
            fields.number("count"),
            fields.number("size"),
            tuple(Choice.of(part) for part in fields.objects("choices", MAX_CHOICES)),
            fields.raw("default_target", MAX_TARGET),
            fields.truth("can_grant"),
            fields.raw("requested", MAX_TARGET),
            fields.raw("origin", MAX_TARGET),
            fields.raw("source_uuid", MAX_WORD),
            fields.raw("source_title", MAX_TITLE),
        )
        targets = [choice.target for choice in question.choices]
        if not targets or "" in targets or len(set(targets)) < len(targets):
            raise BadMessage("choices are none, or have no target, or one twice")
        if question.default_target and question.default_target not in targets:
            raise BadMessage(f"default_target is none of the choices: {shown(question.default_target)}")
        return question

    def check(self, answer: Answer) -> None:
        """Raise BadMessage unless *answer* is one that this question has."""
        if answer.target and all(answer.target != choice.target for choice in self.choices):
            raise BadMessage(f"target is none of the choices: {shown(answer.target)}")
        if answer.grant_session and not (self.can_grant and answer.target):
            raise BadMessage("grant_session is true, though there is nothing to grant")
        if answer.block_source and answer.target:
            raise BadMessage("block_source is true, though a target was chosen")


def parse_question(line: bytes) -> Question:
    """The question in a line; raises BadMessage."""
    fields = Fields(line, MAX_QUESTION)
    if fields.type != Question.TYPE:
        raise BadMessage(f"no question: {shown(fields.type)}")
    return Question.of(fields)


def parse_answer(line: bytes) -> Answer:
    """The answer in a line; raises BadMessage."""
    fields = Fields(line)
    if fields.type != Answer.TYPE:
        raise BadMessage(f"no answer: {shown(fields.type)}")
    return Answer.of(fields)
