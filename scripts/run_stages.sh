#!/usr/bin/env bash
# Runs the five stages of an experiment, trains the same student on labels alone
# for comparison, and prints the table of all four networks.
# Usage: bash scripts/run_stages.sh configs/NAME.cfg [FLAG ...]
# Reads NAME.cfg, NAME_finetune.cfg and NAME_labels.cfg. If one of the last two
# is missing, it reads NAME.cfg and configs/finetune_stage.cfg or
# configs/labels_stage.cfg. The flags go to every stage, in a flagfile of the
# run: a stage skips those that it does not use. A second run continues.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
config="${1:?Usage: bash scripts/run_stages.sh configs/NAME.cfg [FLAG ...]}"
shift
name="$(basename "${config%.cfg}")"
scores="runs/$name/scores"
mkdir -p "$scores"
printf '%s\n' "$@" > "runs/$name/flags.cfg"
set -- --flagfile="runs/$name/flags.cfg"

# Sets `stage` to the flags of the stage finetune or labels.
read_stage() {
  local own="${config%.cfg}_$1.cfg"
  stage=("--flagfile=$own")
  [[ -f "$own" ]] || stage=("--flagfile=$config"
    "--flagfile=configs/$1_stage.cfg" "--train_dir=runs/$name/$2")
}

read_stage finetune finetuned
finetune=("${stage[@]}")
read_stage labels labels
labels=("${stage[@]}")
bash run_train.sh --flagfile="$config" "$@"
bash run_validate.sh --flagfile="$config" "$@" --role=both \
  --metrics_file="$scores/joint.json"
bash run_convert_model.sh --flagfile="$config" "$@"
bash run_finetune.sh "${finetune[@]}" "$@"
bash run_evaluate.sh "${finetune[@]}" "$@" --metrics_file="$scores/finetuned.json"
bash run_train.sh "${labels[@]}" "$@" --regime=labels
bash run_evaluate.sh "${labels[@]}" "$@" --metrics_file="$scores/labels.json"
.venv/bin/python -m distill compare_scores --metrics_files="\
teacher=$scores/joint.json:teacher,\
student in joint model=$scores/joint.json:student,\
student fine-tuned=$scores/finetuned.json,\
student on labels alone=$scores/labels.json"
