"""What all operations stand on: a world, and the courier of its webhooks.

What does not belong here: operations.
"""

from sandbox.courier import Courier
from sandbox.model.world import World


class Operations:
    """A group of operations on one world."""

    def __init__(self, world: World, courier: Courier) -> None:
        """Operate on this world."""
        self._world = world
        self._courier = courier
