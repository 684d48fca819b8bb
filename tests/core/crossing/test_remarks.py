"""What is said of a copy: bounded, and honest about how much it leaves out."""

from qubes_manager.core.crossing.remarks import MAX_TOLD, Remarks


def test_as_many_as_can_be_told_are() -> None:
    remarks = Remarks(["a"])
    remarks.add("b")
    assert (bool(Remarks()), remarks.told(), list(remarks)) == (False, ("a", "b"), ["a", "b"])


def test_of_more_the_first_are_kept_and_all_count_through_every_hand() -> None:
    others = Remarks(str(number) for number in range(10_000))
    remarks = Remarks(["first"])
    remarks.extend(others)
    assert (len(remarks), len(list(remarks))) == (10_001, MAX_TOLD)
    assert (len(remarks.told()), remarks.told()[-1]) == (MAX_TOLD, f"and {10_001 - MAX_TOLD + 1} more of the kind")
