"""The database user, and whether PostgreSQL's row-level security applies to it.

What does not belong here: switching roles (`roles`), creating them (`migrations`).
"""

from dataclasses import dataclass

from sqlalchemy import text

from mailchimp_pipeline.database.roles import DatabaseRole
from mailchimp_pipeline.database.session import Database


@dataclass(frozen=True, slots=True)
class Login:
    """The database user of the configured URL.

    `powers` describes rights that bypass row-level security, empty if there are none. `roles_lacking` are the roles
    that the user cannot switch to. `tables_open` are tables with organisations' rows but without a policy.
    """

    user: str
    powers: tuple[str, ...]
    roles_lacking: tuple[str, ...]
    tables_open: tuple[str, ...]


_WHO = text("""
select current_user as name, rolsuper, rolbypassrls,
    coalesce((select pg_has_role(current_user, relowner, 'usage') from pg_class where oid = to_regclass('audit_log')),
        false) as owns
from pg_roles where rolname = current_user
""")

_MAY_TAKE_ON = text("""
select case when to_regrole(:role) is null then false else pg_has_role(current_user, to_regrole(:role), 'member') end
""")

_OPEN = text("""
select relname from pg_class
where relnamespace = current_schema()::regnamespace and relkind = 'r' and not relrowsecurity
    and exists (select from pg_attribute where attrelid = pg_class.oid and attname = 'organisation_id')
order by relname
""")


def login(database: Database) -> Login:
    """Return the database user. Raises the errors of `session`."""
    with database.unrestricted() as connection:
        who = connection.execute(_WHO).one()
        lacking = [role.value for role in DatabaseRole if not connection.scalar(_MAY_TAKE_ON, {"role": role.value})]
        tables = connection.scalars(_OPEN).all()
    powers = {"is a superuser": who.rolsuper, "may pass by policies": who.rolbypassrls, "owns the tables": who.owns}
    return Login(who.name, tuple(power for power, has in powers.items() if has), tuple(lacking), tuple(tables))
