"""Labels new clips from their files, by 1, 5 and all frames, and times it.

The student sees five frames of a clip, or one; the teacher sees all. Only these
are decoded and read by the image network. Needs a finished run of
`scripts/demo_video.sh`. Usage: python label_clips.py FOLDER
"""

import csv
import statistics
import sys
import time
from pathlib import Path

import distill
from distill.reporting.console import print_table
from distill.system.captured_stderr import standard_error_kept_back


def read_clips(path: Path) -> dict[Path, set[str]]:
    """Returns the labels of each clip of a list, by its file."""
    with path.open(newline="") as file:
        return {
            path.parent / row["path"]: set(row["labels"].split(";"))
            for row in csv.DictReader(file)
        }


def label(
    predictor: distill.Predictor,
    extractor: distill.VideoExtractor,
    clips: list[Path],
) -> tuple[list[distill.VideoPrediction], float]:
    """Returns the predictions of the clips and the median time of one."""
    predictions, seconds = [], []
    with predictor.reads(extractor, num_processes=1) as features:
        # The first clip also starts the decoder's process; it is not counted.
        for clip in [clips[0], *clips]:
            start = time.perf_counter()
            ((_, video),) = features.of([clip])
            predictions.append(predictor.predict(video.result(), top_k=3))
            seconds.append(time.perf_counter() - start)
    return predictions[1:], statistics.median(seconds[1:])


def main(folder: Path) -> None:
    """Prints a table of the three budgets."""
    clips = read_clips(folder / "clips" / "new.csv")
    with standard_error_kept_back():  # TensorFlow says much when it starts
        extractor = distill.read_extractor(folder / "data" / "extractor.json")
    student, teacher = folder / "finetuned/best.h5", folder / "joint/best.h5"
    names = folder / "data" / "class_names.csv"
    one = distill.FrameBudget.of(num_frames=1)
    networks = {
        ("student", "1"): (student, "student", one),
        ("student", "5"): (student, "student", None),
        ("teacher", "all 20"): (teacher, "teacher", None),
    }
    first, *_ = clips
    rows = []
    for titles, (checkpoint, role, budget) in networks.items():
        predictor = distill.Predictor.load(
            checkpoint, role=role, budget=budget, class_names_file=names
        )
        found, seconds = label(predictor, extractor, list(clips))
        num_right = sum(
            len(labels & set(prediction.class_names[: len(labels)]))
            for labels, prediction in zip(clips.values(), found, strict=True)
        )
        pairs = zip(found[0].class_names, found[0].probabilities, strict=True)
        best = ", ".join(f"{name} {value:.2f}" for name, value in pairs)
        rows.append((*titles, f"{1000 * seconds:.0f}", str(num_right), best))
    total = sum(map(len, clips.values()))
    print(f"{first} shows: {', '.join(sorted(clips[first]))}")
    heads = ("network", "frames", "ms a clip", f"right of {total}")
    print_table((*heads, f"labels of {first.name}"), rows, left=(0, 4))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
