"""One server of the sample's procedures for all tests that change nothing about it."""

from collections.abc import Iterator

import pytest

from mailchimp_pipeline_tests.api.trpc.wire import Wire, wire


@pytest.fixture(scope="session")
def sample_wire() -> Iterator[Wire]:
    """Serve the sample's procedures."""
    with wire() as served:
        yield served
