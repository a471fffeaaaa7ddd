"""What scenarios share: one database, one sandbox and one clock, since a scenario is an organisation of its own."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline_tests.consent.clocks import Clocks
from mailchimp_pipeline_tests.consent.company import Companies, Company
from mailchimp_pipeline_tests.consent.product import Product
from mailchimp_pipeline_tests.consent.scenario import ConsentScenario
from sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Generator

_numbers = count(1)


@dataclass(frozen=True)
class Harness:
    """The parts of all scenarios, one after the other."""

    database: Database
    sandbox: Sandbox
    clocks: Clocks
    companies: dict[str, Company] = field(default_factory=dict[str, Company])

    @classmethod
    @contextmanager
    def running(cls, database_url: str) -> "Generator[Harness]":
        """Run the parts over a database with all tables."""
        clocks = Clocks()
        with Database(database_url, pool_size=20) as database, Sandbox.running(clock=clocks.true) as sandbox:
            yield cls(database, sandbox, clocks)

    @property
    def product(self) -> Product:
        """The product over these parts."""
        return Product(self.database, self.sandbox.api_root, Companies(self.companies), self.clocks.ours)

    def begin(self, *, ours_ahead: timedelta, mailchimp_ahead: timedelta) -> ConsentScenario:
        """Begin a scenario, with clocks that are ahead of the true time."""
        self.clocks.now, self.clocks.ours_ahead = Clocks().now, ours_ahead
        return ConsentScenario(
            self.product,
            self.companies,
            self.sandbox,
            self.clocks,
            f"organisation-{next(_numbers)}",
            mailchimp_ahead=mailchimp_ahead,
        )

    def end(self) -> None:
        """End the scenario: what it left in the database would be looked after in the next one."""
        for organisation_id in self.companies:
            self.product.forget(organisation_id)
        self.companies.clear()
