"""Studies accuracy and cost over frame budgets: a grid from one teacher."""

import dataclasses
import sys

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import FLAGS, specs
from distill.models.options import option


@dataclasses.dataclass(frozen=True)
class StudyFlags:
    """The grid, the teachers, the cascades and the work of one call."""

    study_dir: str | None = option(None, "Directory of the study.")
    study_rows: str | None = option(
        None,
        "Python file that defines ROWS, the list of the study's methods; "
        "configs/study_audioset.py is an example.",
    )
    budgets: tuple[int, ...] | None = option(
        None, "Numbers of frames, the columns.", minimum=1
    )
    seeds: tuple[int, ...] = option((0, 1, 2), "Seeds of every row.", minimum=0)
    teacher_flags: str = option(
        "", "Flags of the teacher's training, on labels."
    )
    teacher_seeds: tuple[int, ...] = option(
        (0,), "Seeds of the teachers.", minimum=0
    )
    cascade_rows: tuple[str, ...] = option(
        (), "Rows with fewest_frames that are reported as a cascade too."
    )
    cascade_means: tuple[float, ...] = option(
        (), "Mean frames a video of those cascades."
    )
    cascade_budgets: tuple[int, ...] | None = option(
        None,
        "Frames that a cascade's stages see. Default: --budgets.",
        minimum=1,
    )
    calibration_data_pattern: str | None = option(
        None,
        "Globs of videos whose confidences (no labels) set the thresholds.",
    )
    baseline_row: str | None = option(
        None,
        "The row without a teacher, against which gains are counted. Default: "
        "the first.",
    )
    dry_run: bool = option(False, "Show the grid and its estimated time alone.")
    max_runs: int | None = option(
        None, "Trainings of this call; the next call continues."
    )


FLAG_GROUPS = (
    groups.LAYOUT,
    groups.NETWORKS,
    groups.TRAINING_BUDGET,
    groups.TRAINING,
    groups.DISTILLATION,
    groups.STUDENT_FILE,
    groups.GPU,
    specs(StudyFlags),
)


def main() -> int:
    """Runs the missing trainings, writes the report; 1 after a signal."""
    from distill.cli.study_settings import study_plan

    study = study_plan(" ".join(["python -m distill study", *sys.argv[1:]]))

    start_tensorflow(FLAGS.gpu)
    from distill.study.study import run_study, show_plan

    if FLAGS.dry_run:
        show_plan(study)
        return 0
    return 0 if run_study(study, FLAGS.max_runs) else 1
