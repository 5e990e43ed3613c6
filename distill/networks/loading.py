"""Loading a network from a checkpoint or an ensemble's file."""

from pathlib import Path

from distill.checkpoints.checkpoint import (
    load_result,
    weight_names,
)
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
) -> Network | EnsembleNetwork:
    """Builds the `teacher` or `student` of a checkpoint with its weights.

    Args:
      checkpoint: The file, or that of an ensemble (`.json`), whose members
        say which network each is.
      role: The network; of an ensemble `student`, its default.
      precision: `float32` or `bfloat16`: what it computes in.
      budget: The frames it sees; None: those it was trained on.

    Raises:
      CheckpointError: The file is no checkpoint, or its weights are not those
        of its settings.
      ValueError: It holds no such network, or no ensemble.
    """
    if is_ensemble(checkpoint):
        network = _load_ensemble(checkpoint, role, precision)
    else:
        settings = read_validated_settings(checkpoint, role)
        network = build_network(
            settings.network(role), settings.data, role, precision
        )
        load_result(checkpoint, role, weight_names(network.model))
    return network if budget is None else network.at_budget(budget)


def _load_ensemble(path, role, precision) -> EnsembleNetwork:
    if role != "student":
        raise ValueError(
            f"--role={role}: the members of {path} say which network of a "
            "checkpoint each is."
        )
    members = Ensemble.read(path).members
    schema = check_members(members)
    networks = []
    for member in members:
        network = load_network(member.checkpoint, member.role, precision)
        if network.budget.num_draws(schema.max_frames):
            raise ValueError(
                f"{path}: {member.name} sees {network.budget.name}, which are "
                "drawn: such a network cannot be a member."
            )
        networks.append(network)
    weights = [member.weight for member in members]
    return EnsembleNetwork(networks, weights, schema)
