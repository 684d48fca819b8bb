"""What the tests of Qt models share."""

from tests.qt_garbage import collected_here as collected_here
