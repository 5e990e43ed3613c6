#!/usr/bin/env bash
# Downloads YouTube-8M with the variables of its own downloader. A second call
# fetches the files that are missing.
# Usage: partition=2/frame/train mirror=us [shard=1,100] [jobs=4] \
#   [server=http://{host}] bash scripts/download_yt8m.sh DIRECTORY
set -euo pipefail
usage="Usage: partition=2/frame/train mirror=us bash $0 DIRECTORY"
directory="${1:?$usage}"
[[ "$directory" = /* ]] || directory="$PWD/$directory"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
exec .venv/bin/python -m distill download_yt8m --output_dir="$directory" \
  ${partition:+--partition="$partition"} ${mirror:+--mirror="$mirror"} \
  ${shard:+--shard="$shard"} ${jobs:+--jobs="$jobs"} \
  ${server:+--server="$server"}
