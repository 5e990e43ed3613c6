"""Settings of reading an artifact."""

import dataclasses

from distill.models.options import option


@dataclasses.dataclass(frozen=True)
class ArtifactOptions:
    """How an artifact is taken."""

    trust_artifact: bool = option(
        False,
        "Load an artifact without its check. A SavedModel is a program.",
    )
