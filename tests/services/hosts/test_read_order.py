"""Readings that overlap."""

from qubes_manager.services.hosts.read_order import ReadOrder


def test_an_older_reading_does_not_take_the_place_of_a_newer_one() -> None:
    order = ReadOrder()
    first, second = order.begin(), order.begin()
    assert order.news(second, ["a"]) == {"a"}
    assert order.news(first, ["a", "b"]) == {"b"}
    assert order.news(order.begin(), ["a", "b"]) == {"a", "b"}
