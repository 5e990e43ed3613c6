"""The command that fits a PCA."""

import h5py
import pytest
from stage_runs import (
    DATA_FLAGS,
    NO_TENSORFLOW,
    error_line,
    run_script,
    to_flags,
)


def test_the_command_writes_a_pca_and_says_what_it_explains(videos, tmp_path):
    output = tmp_path / "pca.h5"
    done = run_script(
        "fit_pca",
        f"--train_data_pattern={videos}/train-*.tfrecord",
        f"--output_file={output}",
        "--feature_name=rgb",
        "--num_components=3",
        *to_flags(DATA_FLAGS),
    )
    first, shares, wrote = done.stdout.splitlines()
    with h5py.File(output) as file:
        frames, share = file.attrs["num_frames"], file.attrs["explained"]
    assert first == (
        f"{frames:,} frames of 12 numbers: 3 components explain {share:.2%} "
        "of their variance"
    )
    assert shares.startswith("the first 3: ")
    assert wrote == f"wrote {output}"
    flags = (tmp_path / "pca.h5.flags").read_text().splitlines()
    assert "--feature_name=rgb" in flags


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Give a value to --output_file, --num_components."),
        (
            ["--output_file=a.h5", "--num_components=2"],
            "Give a value to --train_data_pattern or to --input, not to both.",
        ),
        (
            ["--output_file=a.h5", "--num_components=0"],
            "num_components must be 1 or more",
        ),
    ],
)
def test_wrong_flags_are_refused_before_tensorflow_starts(flags, message):
    done = run_script("fit_pca", *flags, driver=NO_TENSORFLOW, status=1)
    assert message in error_line(done)
