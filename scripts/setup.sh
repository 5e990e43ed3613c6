#!/usr/bin/env bash
# Makes .venv and installs the package into it; quick if this was done before.
# Usage: bash scripts/setup.sh [EXTRA ...], for example `setup.sh dev gpu`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "ERROR: Python 3.11 or newer is needed; $python is" \
    "$("$python" --version). Set PYTHON to another." >&2
  exit 1
}
for extra in "" "$@"; do
  stamp=".venv/.installed-${extra:-base}"
  if ! cmp -s pyproject.toml "$stamp"; then
    [ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
    echo "Installing into .venv${extra:+ with the extra $extra} ..."
    .venv/bin/pip install --quiet --disable-pip-version-check \
      --editable ".${extra:+[$extra]}"
    cp pyproject.toml "$stamp"
  fi
done
