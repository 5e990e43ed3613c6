"""Settings of the runner that a command gives its work to."""

import dataclasses
import shlex

from distill.models.options import check_options, option


@dataclasses.dataclass(frozen=True)
class BeamSettings:
    """An Apache Beam runner, and its own flags."""

    beam_runner: str | None = option(
        None,
        "Apache Beam runner that does the work, such as DirectRunner, "
        "DataflowRunner, FlinkRunner or SparkRunner. Default: this process.",
    )
    beam_options: str = option(
        "",
        "The runner's own flags in one text. For example "
        '"--direct_num_workers=4 --direct_running_mode=multi_processing".',
        is_address=True,
    )

    beam_tasks: int = option(
        64,
        "Parts that a runner's workers make of one CSV file of predictions.",
        minimum=1,
    )

    def __post_init__(self):
        """Checks the values."""
        check_options(self)
        if self.beam_options and not self.beam_runner:
            raise ValueError("beam_options needs beam_runner.")
        try:
            words = self.option_words
        except ValueError as error:
            raise ValueError(
                f"beam_options={self.beam_options!r}: {error}."
            ) from error
        for word in words:
            if word.split("=")[0] == "--runner":
                raise ValueError(
                    "beam_options: give the runner by beam_runner."
                )

    @property
    def option_words(self) -> list[str]:
        """The flags, one by one."""
        return shlex.split(self.beam_options)
