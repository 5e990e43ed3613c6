#!/usr/bin/env bash
# Stage 2: scores the student, or the teacher, inside the joint checkpoint.
# Without arguments it runs on the default data, with configs/quickstart.cfg.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
bash scripts/setup.sh
[ $# -gt 0 ] || set -- --flagfile=configs/quickstart.cfg
exec .venv/bin/python -m distill evaluate "$@"
