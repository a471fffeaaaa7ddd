"""The pytest parameter `mix`, with the number of `--mixes`."""

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "mix" in metafunc.fixturenames:
        metafunc.parametrize("mix", range(metafunc.config.option.mixes))
