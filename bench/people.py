"""Made employees in a database of their own, as an HR system has them: as many as a figure asks for, in seconds.

What does not belong here: sample data for people to look at (`mailchimp_pipeline.local.sample_data`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
from sqlalchemy import make_url

DATABASE = "hr"
DEPARTMENTS = 10

_COLUMNS = (
    "organisation_id text, id text, email text, first_name text, last_name text, "
    "department text, location text, employment_type text, employment_status text"
)

_TABLES = (
    f"create table employees ({_COLUMNS})",
    f"create table vendors ({_COLUMNS})",
    "create index on employees (organisation_id)",
    "create index on vendors (organisation_id)",
)

_HIRE = """
insert into employees
select organisation, n::text, 'person' || n || '@' || organisation || '.test',
    (array['Ana', 'Björn', 'Chidi', 'Dörte', 'Elif', 'Fatima', 'Grace', 'Hiro'])[1 + n %% 8],
    (array['Okafor', 'Müller', 'Nguyen', 'Rossi', 'Smith', 'Walsh', 'Zhang'])[1 + n %% 7] || ' ' || n,
    'Department ' || n %% %(departments)s, (array['Berlin', 'London', 'Remote'])[1 + n %% 3], 'full_time', 'active'
from unnest(%(organisations)s::text[]) as organisation, generate_series(1, %(count)s) as n
"""

_MARRY = """
update employees set last_name = 'Newly-' || last_name where organisation_id = %(organisation)s
    and id::int %% %(every)s = 0
"""


@dataclass(frozen=True, slots=True)
class HumanResources:
    """The database of employees; `url` is what `MAILCHIMP_PIPELINE_SOURCE` is set to."""

    url: str

    @classmethod
    def beside(cls, database_url: str) -> "HumanResources":
        """Make the database, without employees, on the server of another one."""
        with psycopg.connect(driver_url(database_url), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
        there = cls(make_url(database_url).set(database=DATABASE).render_as_string(hide_password=False))
        for statement in _TABLES:
            there._execute(statement)
        return there

    def hire(self, organisations: Sequence[str], count: int) -> None:
        """Give each organisation so many employees, spread evenly over `DEPARTMENTS`."""
        self._execute(_HIRE, organisations=list(organisations), count=count, departments=DEPARTMENTS)
        with psycopg.connect(driver_url(self.url), autocommit=True) as connection:
            connection.execute("vacuum analyze employees")

    def marry(self, organisation: str, *, every: int) -> None:
        """Give one in `every` employees of the organisation another last name."""
        self._execute(_MARRY, organisation=organisation, every=every)

    def _execute(self, statement: str, **parameters: object) -> None:
        with psycopg.connect(driver_url(self.url)) as connection:
            connection.execute(statement.encode(), parameters or None)


def email(organisation_id: str, number: int) -> str:
    """Return the address of the organisation's employee with this id."""
    return f"person{number}@{organisation_id}.test"


def driver_url(url: str) -> str:
    """Return the URL as psycopg takes it by itself."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
