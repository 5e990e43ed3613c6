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
for extra in "$@"; do
  grep -q "^$extra = \[" pyproject.toml || {
    echo "ERROR: pyproject.toml has no extra '$extra'." >&2
    exit 1
  }
done
# uv is several times as fast as pip, which installs where uv cannot: it reads
# settings that uv does not, such as an index or a folder of wheels.
install() {
  .venv/bin/pip install --quiet --disable-pip-version-check uv &&
    .venv/bin/uv pip install --quiet --python=.venv/bin/python \
      --compile-bytecode --editable "$1" && return
  echo "uv could not install; pip tries." >&2
  .venv/bin/pip install --quiet --disable-pip-version-check --editable "$1"
}

for extra in "" "$@"; do
  stamp=".venv/.installed-${extra:-base}"
  if ! cmp -s pyproject.toml "$stamp"; then
    [ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
    echo "Installing into .venv${extra:+ with the extra $extra} ..."
    install ".${extra:+[$extra]}"
    cp pyproject.toml "$stamp"
  fi
done
