"""Placement groups that outlive a controller of Ray Train which was killed.

Ray frees a group only when its creator and the creator's job are both gone. Where only the
controller died, its group keeps the CPUs, and the next controller waits for them without a word.
On a joined cluster an actor of Ray Train's removes the group some seconds later, unless the
controller dies before it has named the group to it.
"""

from __future__ import annotations

import ray
from ray._private.state import state
from ray._raylet import PlacementGroupID
from ray.core.generated.gcs_pb2 import PlacementGroupTableData
from ray.util import remove_placement_group
from ray.util.placement_group import PlacementGroup

_CONTROLLER = "TrainController"


def free_leaked() -> int:
    """Removes the groups of this job's controllers that are dead; all others are left alone.

    Returns:
        How many there were.
    """
    job = ray.get_runtime_context().get_job_id()
    dead = {
        actor
        for actor, facts in state.actor_table(None, ray.JobID.from_hex(job), "DEAD").items()
        if facts["ActorClassName"] == _CONTROLLER
    }
    leaked = [
        group.placement_group_id
        for group in map(PlacementGroupTableData.FromString, _table())
        if group.creator_actor_id.hex() in dead and group.state != PlacementGroupTableData.REMOVED
    ]
    for name in leaked:
        remove_placement_group(PlacementGroup(PlacementGroupID(name)))
    return len(leaked)


def _table() -> list[bytes]:
    table: list[bytes] = state._connect_and_get_accessor().get_placement_group_table()
    return table
