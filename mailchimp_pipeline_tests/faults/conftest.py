"""How many mixes of faults are tried: `--mixes`."""

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "mix" in metafunc.fixturenames:
        metafunc.parametrize("mix", range(metafunc.config.option.mixes))
