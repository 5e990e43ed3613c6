#!/usr/bin/env bash
# Installs into .venv, writes the default data and runs the five stages on it.
# A second run continues the first; delete runs/quickstart to start anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
.venv/bin/python -m distill make_synthetic_data \
  --flagfile=configs/quickstart_data.cfg
exec bash scripts/run_stages.sh configs/quickstart.cfg "$@"
