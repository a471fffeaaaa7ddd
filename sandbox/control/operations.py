"""The base class of the control operations."""

from sandbox.courier import Courier
from sandbox.model.world import World


class Operations:
    """Control operations on one sandbox."""

    def __init__(self, world: World, courier: Courier) -> None:
        """Operate on this sandbox."""
        self._world = world
        self._courier = courier
