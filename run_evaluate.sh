#!/usr/bin/env bash
# Stage 5: scores a checkpoint with all metrics.
# Without arguments it runs on the default data, with configs/quickstart.cfg.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
bash scripts/setup.sh
[ $# -gt 0 ] || set -- --flagfile=configs/quickstart_finetune.cfg
exec .venv/bin/python -m distill evaluate "$@"
