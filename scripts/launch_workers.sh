#!/usr/bin/env bash
# Runs N workers of one verb on this machine, to try what several machines do.
# Usage: bash scripts/launch_workers.sh N VERB FLAG ...
# For example: bash scripts/launch_workers.sh 2 train --flagfile=...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec .venv/bin/python -m distill launch_workers "$@"
