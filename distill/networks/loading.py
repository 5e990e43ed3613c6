"""Loading a network from a checkpoint or from the file of an ensemble."""

from pathlib import Path

from distill.checkpoints.checkpoint import load_result, weight_names
from distill.models.frame_budget import FrameBudget
from distill.networks.ensemble import EnsembleNetwork, check_members
from distill.networks.ensemble_file import Ensemble, is_ensemble
from distill.networks.network import Network, build_network
from distill.networks.stored_settings import read_validated_settings


def load_network(
    checkpoint: str | Path,
    role: str,
    precision: str = "float32",
    budget: FrameBudget | None = None,
    segments: bool = False,
) -> Network | EnsembleNetwork:
    """Builds a network and loads its weights.

    Args:
      checkpoint: A checkpoint, or the file of an ensemble (`.json`).
      role: `teacher` or `student`; for an ensemble `student`.
      precision: Data type of the computation: `float32` or `bfloat16`.
      budget: The frames it sees; None for those it was trained on.
      segments: Whether it is given segments, not whole videos.

    Raises:
      CheckpointError: The file is not a checkpoint, or its weights do not fit
        its settings.
      ValueError: The file has no such network, or is not an ensemble.
    """
    load = _load_ensemble if is_ensemble(checkpoint) else _load_checkpoint
    network = load(checkpoint, role, precision)
    if budget is not None:
        network = network.at_budget(budget)
    return network.of_segments() if segments else network


def _load_checkpoint(
    checkpoint: str | Path, role: str, precision: str
) -> Network:
    settings = read_validated_settings(checkpoint, role)
    network = build_network(
        settings.network(role), settings.data, role, precision
    )
    load_result(checkpoint, role, weight_names(network.model))
    return network


def _load_ensemble(
    path: str | Path, role: str, precision: str
) -> EnsembleNetwork:
    if role != "student":
        raise ValueError(
            f"--role={role}: the members of {path} name their own roles."
        )
    members = Ensemble.read(path).members
    schema = check_members(members)
    networks = []
    for member in members:
        network = _load_checkpoint(member.checkpoint, member.role, precision)
        if network.budget.num_draws(schema.max_frames):
            raise ValueError(
                f"{path}: {member.name} draws its frames at random "
                f"({network.budget.name}): it cannot be a member."
            )
        networks.append(network)
    weights = [member.weight for member in members]
    return EnsembleNetwork(networks, weights, schema)
