"""Databases with nothing in them, one that is PostgreSQL and one that is not."""

from collections.abc import Generator
from pathlib import Path

import pytest
import sqlalchemy as sa


@pytest.fixture
def postgres(empty_database_url: str) -> Generator[sa.Engine]:
    """Return an engine on an empty PostgreSQL database."""
    engine = sa.create_engine(empty_database_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Generator[sa.Engine]:
    """Return an engine on an empty SQLite database, which stands for any database but PostgreSQL."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'hr.db'}", poolclass=sa.NullPool)
    yield engine
    engine.dispose()
