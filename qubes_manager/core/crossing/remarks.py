"""What there is to say of a copy: the first sentences, and how many more there were, since a guest has a say in it."""

from collections.abc import Iterable, Iterator

# Files and remarks that a report names; it counts all.
MAX_TOLD = 200


class Remarks:
    """Sentences for people; as many as come take no more memory than those that are told. None: it is false."""

    def __init__(self, sentences: Iterable[str] = ()) -> None:
        self._kept: list[str] = []
        self._count = 0
        self.extend(sentences)

    def add(self, sentence: str) -> None:
        """There is this to say too."""
        self._count += 1
        if len(self._kept) < MAX_TOLD:
            self._kept.append(sentence)

    def extend(self, sentences: "Iterable[str] | Remarks") -> None:
        """There are these to say too, and those that others have not kept."""
        for sentence in sentences:
            self.add(sentence)
        if isinstance(sentences, Remarks):
            self._count += sentences._count - len(sentences._kept)

    def told(self) -> tuple[str, ...]:
        """What can be told; the last one says how much more there would be."""
        if self._count <= MAX_TOLD:
            return tuple(self._kept)
        return (*self._kept[: MAX_TOLD - 1], f"and {self._count - MAX_TOLD + 1} more of the kind")

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return self._count
