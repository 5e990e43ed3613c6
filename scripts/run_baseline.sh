#!/usr/bin/env bash
# Trains one model on labels alone, scores it and prints its row.
# Usage: bash scripts/run_baseline.sh configs/baselines/NAME.cfg [FLAG ...]
# with --train_data_pattern and --eval_data_pattern among the flags.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
config="${1:?Usage: bash scripts/run_baseline.sh configs/baselines/NAME.cfg [FLAG ...]}"
shift
name="$(basename "${config%.cfg}")"
mkdir -p runs/baselines
printf '%s\n' "$@" > "runs/baselines/$name.cfg"
set -- --flagfile="runs/baselines/$name.cfg"
start=$SECONDS
bash run_train.sh --flagfile="$config" "$@" --regime=labels --eval_data_pattern=
seconds=$((SECONDS - start))
bash run_evaluate.sh --flagfile="$config" "$@" \
  --metrics_file="runs/baselines/$name.json"
.venv/bin/python -m distill compare_scores \
  --metrics_files="$name (trained in $seconds s)=runs/baselines/$name.json"
