"""The flags of the frame-budget study."""

from absl import flags


def define_study_flags() -> None:
    """Defines the grid, the teacher and what is done of them."""
    flags.DEFINE_string("study_dir", None, "Directory of the study.")
    flags.DEFINE_multi_string(
        "study_rows",
        None,
        "A method, as `NAME: FLAGS`; {a|b} in the flags makes a row of each "
        "choice; ` THEN ` begins the flags of a second training, on labels, "
        "from the first one's student. `NAME @ 1,2: FLAGS` adds flags at those "
        "budgets. A row with --fewest_frames is trained once for all budgets.",
    )
    flags.DEFINE_list(
        "budgets",
        None,
        "Numbers of frames, the columns; in a row: those among them that it "
        "has.",
    )
    flags.DEFINE_list(
        "seeds",
        ["0", "1", "2"],
        "Seeds of every row; in a row: those among them that it has.",
    )
    flags.DEFINE_string(
        "teacher_flags", "", "Flags of the teacher's training, on labels."
    )
    flags.DEFINE_list("teacher_seeds", ["0"], "Seeds of the teachers.")
    flags.DEFINE_integer(
        "num_teachers",
        None,
        "In a row: how many of the teachers teach, by their mean; all of them "
        "if not given (mimic takes the first).",
    )
    flags.DEFINE_string(
        "evaluation_selection",
        None,
        "In a row: the --frame_selection that it is scored with, if it is not "
        "the one of its training.",
    )
    _define_cascade_flags()
    flags.DEFINE_string(
        "baseline_row",
        None,
        "The row without a teacher, against which gains are counted; default: "
        "the first. In a row: its own.",
    )
    flags.DEFINE_boolean(
        "dry_run", False, "Show the grid and its estimated time alone."
    )
    flags.DEFINE_integer(
        "max_runs", None, "Trainings of this call; the next call goes on."
    )


def _define_cascade_flags() -> None:
    flags.DEFINE_list(
        "cascade_rows",
        [],
        "Rows with --fewest_frames that are reported as a cascade too.",
    )
    flags.DEFINE_list(
        "cascade_means", [], "Mean frames a video of those cascades."
    )
    flags.DEFINE_list(
        "cascade_budgets",
        None,
        "Frames that a cascade's stages see; default: --budgets.",
    )
    flags.DEFINE_string(
        "calibration_data_pattern",
        None,
        "Globs of videos whose confidences (no labels) set the thresholds.",
    )
