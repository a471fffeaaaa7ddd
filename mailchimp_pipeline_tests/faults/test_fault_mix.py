"""A fifth of all calls to Mailchimp go wrong, in any mix: every contact is in place, and nobody is let in."""

import time
from collections.abc import Callable

from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.mailchimp import Retries
from mailchimp_pipeline_tests.faults.mixes import READ_SECONDS, Mix
from mailchimp_pipeline_tests.faults.staff import Staff, a_staff

PEOPLE = 20_000

HASTY = Retries(sleep=lambda seconds: time.sleep(seconds / 50))
"""The rule as it is, in time that goes by faster."""


def begin(staff: Staff) -> None:
    """Let some be at Mailchimp, or have said no, before the first sync."""
    staff.unsubscribe(range(50))
    staff.bounce(range(50, 80))
    staff.archive(range(80, 100))
    staff.opt_out(range(300, 340), known_there=False)


def go_on(staff: Staff) -> None:
    """Let everything happen that happens between two syncs."""
    staff.unsubscribe(range(440, 480))
    staff.bounce(range(480, 500))
    staff.opt_out(range(400, 440), known_there=True)
    staff.rename(range(500, 540))
    staff.leave(range(600, 640))
    staff.marry(range(1000, 3000))


def summary(seed: int, staff: Staff, seconds: float) -> str:
    """Return the figures of both syncs."""
    struck, traffic = staff.sandbox.faults_struck(), staff.sandbox.counts().total
    wrongs = staff.wrongs()
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(struck.items()))
    return (
        f"mix {seed}: {PEOPLE} contacts, {traffic.calls} calls, {sum(struck.values())} faults injected ({kinds}); "
        f"syncs finished {sum(staff.finished)} of {len(staff.finished)}, lost {wrongs['lost']}, "
        f"doubled {wrongs['doubled']}, let in {wrongs['let_in']}, taken again {staff.repeated()}, {seconds:.0f} s"
    )


def test_every_contact_is_in_place_though_a_fifth_of_the_calls_fail(
    database: Database, mix: int, tell: Callable[[str], None]
) -> None:
    begun = time.monotonic()
    with a_staff(database, PEOPLE, HASTY, READ_SECONDS) as staff:
        begin(staff)
        for fault in Mix(mix).faults():
            staff.sandbox.add_fault(fault)
        first = staff.sync()
        go_on(staff)
        erased = staff.erase(range(540, 545))
        second = staff.sync()
        tell(summary(mix, staff, time.monotonic() - begun))
        assert (first.error, second.error, set(erased)) == (None, None, {"completed"})
        assert not +staff.wrongs()
