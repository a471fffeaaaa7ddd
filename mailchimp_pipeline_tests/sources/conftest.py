"""Empty PostgreSQL and SQLite databases."""

from collections.abc import Generator
from pathlib import Path

import pytest
import sqlalchemy as sa


@pytest.fixture
def postgres(empty_database_url: str) -> Generator[sa.Engine]:
    """Return an engine for an empty PostgreSQL database."""
    engine = sa.create_engine(empty_database_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Generator[sa.Engine]:
    """Return an engine for an empty SQLite database, as an example of any other database."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'hr.db'}", poolclass=sa.NullPool)
    yield engine
    engine.dispose()
