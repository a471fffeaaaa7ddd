"""One server of the sample procedures for all tests that do not change it."""

from collections.abc import Iterator

import pytest

from mailchimp_pipeline_tests.api.trpc.wire import Wire, wire


@pytest.fixture(scope="session")
def sample_wire() -> Iterator[Wire]:
    """Run a server of the sample procedures."""
    with wire() as served:
        yield served
