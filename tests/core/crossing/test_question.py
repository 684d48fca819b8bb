"""Questions and answers between the broker and the window that asks."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.crossing.question import (
    MAX_CHOICES,
    MAX_QUESTION,
    Answer,
    Choice,
    Question,
    parse_answer,
    parse_question,
)
from qubes_manager.core.json_lines import BadMessage

QUESTION = Question(
    "untrusted",
    "red",
    "qubes.Filecopy",
    names=("report.pdf",),
    count=1,
    size=4096,
    choices=(Choice("work", "work", "blue", "Running"), Choice("@dispvm:web", "New disposable of web", "red")),
    default_target="work",
    can_grant=True,
)
# libvirt takes names of any characters.
WORDS = st.text(min_size=1, max_size=40)


def line_of(**changes: object) -> bytes:
    return json.dumps({"type": "question", **asdict(QUESTION), **changes}).encode()


def choice(target: object = "work", **changes: object) -> dict[str, object]:
    return {"target": target, "title": "work", "label": "blue", "group": "Running", "uuid": "", **changes}


def test_a_question_comes_as_it_was_sent() -> None:
    assert parse_question(QUESTION.to_json().encode()) == QUESTION


@given(st.sampled_from(["", "work"]), st.booleans(), st.booleans())
def test_an_answer_comes_as_it_was_sent(target: str, grants: bool, blocks: bool) -> None:
    answer = Answer(target, grants, blocks)

    assert parse_answer(answer.to_json().encode()) == answer


@given(st.sets(WORDS, min_size=1, max_size=20), WORDS)
def test_any_names_of_domains_come_as_they_were_sent(targets: set[str], source: str) -> None:
    choices = tuple(Choice(target, "title") for target in sorted(targets))
    question = Question(source, "", "my.Service", choices=choices)

    assert parse_question(question.to_json().encode()) == question


def test_a_question_may_name_thousands_of_domains() -> None:
    many = replace(QUESTION, choices=tuple(Choice(f"domain-{n}", f"domain-{n}", "blue", "Halted") for n in range(5000)))
    many = replace(many, default_target="")

    assert parse_question(many.to_json().encode()) == many


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"choices": []}, "choices are none"),
        ({"choices": [choice("")], "default_target": ""}, "have no target"),
        ({"choices": [choice(), choice()]}, "or one twice"),
        ({"choices": [choice("a" * 301)]}, "target has 301 characters"),
        ({"choices": ["work"]}, "choices is no list of at most"),
        ({"choices": [choice(label=5)]}, "label is no text: 5"),
        ({"choices": {"target": "work"}}, "choices is no list of at most"),
        ({"choices": [choice(n) for n in range(MAX_CHOICES + 1)]}, "choices is no list of at most"),
        ({"default_target": "banking"}, "default_target is none of the choices: 'banking'"),
        ({"size": -1}, "size is no whole number"),
        ({"can_grant": 1}, "can_grant is neither true nor false"),
        ({"names": ["x"] * 21}, "names is no list of at most 20 texts"),
        ({"service": "a\x1b[31m"}, "service has characters that do not print"),
        ({"type": "answer"}, "no question: 'answer'"),
        ({"sentence": "x" * MAX_QUESTION}, "a line of"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_what_is_no_question_is_refused(changes: dict[str, object], part: str) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_question(line_of(**changes))

    assert part in str(caught.value)


def test_names_of_files_are_made_safe_to_show() -> None:
    question = parse_question(line_of(names=["\x1b[31mred\x1b[0m\n\u202efdp.exe"]))

    assert question.names == ("red fdp.exe",)


@pytest.mark.parametrize("line", [b"", b"yes", b'{"type":"question"}', b'{"type":"answer","target":"work"}'])
def test_what_is_no_answer_is_refused(line: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_answer(line)


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (Answer("banking"), "target is none of the choices: 'banking'"),
        (Answer(grant_session=True), "nothing to grant"),
        (Answer("work", block_source=True), "though a target was chosen"),
    ],
    ids=["another target", "a grant without a target", "a block beside a yes"],
)
def test_an_answer_that_the_question_has_not_is_refused(answer: Answer, part: str) -> None:
    with pytest.raises(BadMessage, match=part):
        QUESTION.check(answer)


def test_a_grant_that_was_not_offered_is_refused() -> None:
    with pytest.raises(BadMessage, match="nothing to grant"):
        replace(QUESTION, can_grant=False).check(Answer("work", grant_session=True))


@pytest.mark.parametrize("answer", [Answer(), Answer("work"), Answer("work", True), Answer(block_source=True)], ids=str)
def test_the_answers_of_a_question_are_taken(answer: Answer) -> None:
    QUESTION.check(answer)
