"""Random mixes of faults in a fifth of all calls to Mailchimp: every contact has its expected status."""

import time
from collections.abc import Callable

from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.mailchimp import Retries
from mailchimp_pipeline_tests.faults.mixes import READ_SECONDS, Mix
from mailchimp_pipeline_tests.faults.scenario import FaultScenario, fault_scenario

PEOPLE = 20_000

FAST_RETRIES = Retries(sleep=lambda seconds: time.sleep(seconds / 50))
"""The default retries with shorter pauses."""


def prepare(scenario: FaultScenario) -> None:
    """Let some contacts be members at Mailchimp, or opt out, before the first sync."""
    scenario.unsubscribe(range(50))
    scenario.bounce(range(50, 80))
    scenario.archive(range(80, 100))
    scenario.opt_out(range(300, 340), known_there=False)


def change_contacts(scenario: FaultScenario) -> None:
    """Make every kind of change between two syncs."""
    scenario.unsubscribe(range(440, 480))
    scenario.bounce(range(480, 500))
    scenario.opt_out(range(400, 440), known_there=True)
    scenario.change_addresses(range(500, 540))
    scenario.remove_employees(range(600, 640))
    scenario.change_last_names(range(1000, 3000))


def summary(seed: int, scenario: FaultScenario, seconds: float) -> str:
    """Return the figures of both syncs."""
    faults, traffic = scenario.sandbox.faults_struck(), scenario.sandbox.counts().total
    deviations, repeated = scenario.deviations(), scenario.repeated_contacts()
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items()))
    return (
        f"mix {seed}: {PEOPLE} contacts, {traffic.calls} calls, {sum(faults.values())} faults injected ({kinds}); "
        f"syncs finished {sum(scenario.finished)} of {len(scenario.finished)}, lost {deviations['lost']}, "
        f"doubled {deviations['doubled']}, unwanted {deviations['unwanted']}, repeated {repeated}, {seconds:.0f} s"
    )


def test_every_contact_is_in_place_though_a_fifth_of_the_calls_fail(
    database: Database, mix: int, report: Callable[[str], None]
) -> None:
    begun = time.monotonic()
    with fault_scenario(database, PEOPLE, FAST_RETRIES, READ_SECONDS) as scenario:
        prepare(scenario)
        for fault in Mix(mix).faults():
            scenario.sandbox.add_fault(fault)
        first = scenario.sync()
        change_contacts(scenario)
        erased = scenario.erase(range(540, 545))
        second = scenario.sync()
        report(summary(mix, scenario, time.monotonic() - begun))
        assert (first.error, second.error, set(erased)) == (None, None, {"completed"})
        assert not +scenario.deviations()
