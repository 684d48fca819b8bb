"""Who may reach whom, as a drawing for Graphviz: what is allowed in red, what is asked about in orange."""

from collections.abc import Iterable, Iterator

from qubes_manager.core.labels import LABELS
from qubes_manager.core.policy.reach import Reach
from qubes_manager.core.policy.subject import System
from qubes_manager.core.text import one_cell


def graph_lines(found: Iterable[Reach], system: System, *, labels: bool = True, full: bool = False) -> Iterator[str]:
    """The lines of a directed graph; without *labels* one arrow stands for all services, *full* adds what rules say."""
    yield "digraph g {"
    said: set[str] = set()
    for reach in found:
        for line in _lines(reach, system, labels, full):
            if line not in said:
                said.add(line)
                yield line
    yield "}"


def _lines(reach: Reach, system: System, labels: bool, full: bool) -> Iterator[str]:
    for name in (reach.source, reach.target):
        yield f"  {_quoted(name)} [{_look(name, system)}];"
    words = [*([reach.call] if labels else ()), *([reach.rule.outcome] if full else ())]
    colour = "orange" if reach.is_asked else "red"
    yield f"  {_quoted(reach.source)} -> {_quoted(reach.target)} [label={_quoted(' '.join(words))} color={colour}];"


def _look(name: str, system: System) -> str:
    subject = system.get(name)
    if subject is None:
        return "style=dotted"
    label = LABELS.get(subject.label)
    return f"color={_quoted(label.colour if label else subject.label or 'black')}, penwidth=3"


def _quoted(text: str) -> str:
    """A quoted string of the DOT language."""
    escaped = one_cell(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
