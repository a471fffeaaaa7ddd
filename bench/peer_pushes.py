"""What others push with, at the same Mailchimp: the official SDK in a loop, and a component for Dagster."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import bare, peers
from bench.figures import Figure, Scale, script
from bench.first_push import CONTACTS, WHERE, first_push
from bench.stage import Stage, api_key, stage
from mailchimp_pipeline.embedded.processes import foreign_environment, run

_SDK = "mailchimp-marketing==3.0.80"
_COMPONENT = ("dagster-community-components==0.10.120", "dagster==1.13.29", "pandas")
_COMPONENT_CONTACTS = 50
"""It makes a call for each contact: for all of them it would take hours."""

_SCRIPTS = Path(__file__).parent / "peer_scripts"


@dataclass(frozen=True, slots=True)
class _Peer:
    """Somebody else's way to push, run by a script of this name over these requirements."""

    name: str
    requirements: tuple[str, ...]

    def push(self, stage: Stage, contacts: int) -> float:
        """Push so many contacts into an audience of their own, and check that they came; return the seconds."""
        list_id, bodies, result = (
            f"{self.name}1",
            *(stage.stack.dagster_home / f"{self.name}.{end}" for end in ("json", "out")),
        )
        stage.connect(self.name, [list_id])
        bodies.write_text(f"[{','.join(bare.batches(contacts))}]")
        python, place = peers.python(self.name, *self.requirements), (stage.stack.settings.api_root, api_key(self.name))
        run(
            [str(python), str(_SCRIPTS / f"{self.name}.py"), *place, list_id, str(bodies), str(result)],
            foreign_environment(),
        )
        stage.expect_subscribed(list_id, contacts)
        return float(result.read_text())


def _measure(scale: Scale) -> Sequence[Figure]:
    contacts, few = scale.of(CONTACTS), scale.of(_COMPONENT_CONTACTS)
    with stage() as here:
        _, ours = first_push(here, "acme", contacts)
        loop = _Peer("sdk_loop", (_SDK,)).push(here, contacts)
        component = _Peer("component", _COMPONENT).push(here, few)
    each, their_each = ours.seconds / contacts, component / few
    return [
        Figure(
            "against the SDK loop",
            f"time of the loop ÷ ours, {contacts:,} contacts",
            loop / ours.seconds,
            "",
            "≥",
            7,
            9,
            f"the loop {loop:.1f} s, `audience_sync` {ours.seconds:.1f} s",
            WHERE,
        ),
        Figure(
            "against dagster-community-components",
            f"its time a contact ({few} contacts) ÷ ours",
            their_each / each,
            "",
            "≥",
            7,
            9,
            f"{1 / their_each:.1f} contacts a second, ours {1 / each:,.0f}",
        ),
    ]


if __name__ == "__main__":
    script(_measure)
