# Sourced by commands that compare with OpenVINO: sets $root and PYTHONPATH.
#
# OpenVINO (60 MB, bench/peers.txt) is installed at the first use into
# ~/.cache/dlc/peers; XDG_CACHE_HOME takes the place of ~/.cache.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
peers=${XDG_CACHE_HOME:-$HOME/.cache}/dlc/peers
key=$(sha256sum "$root/bench/peers.txt" | cut -d' ' -f1)
mkdir -p "$peers"
exec 9>"$peers/.lock"
flock 9
if [ "$(cat "$peers/.installed" 2>/dev/null)" != "$key" ]; then
  echo "installing OpenVINO into $peers" >&2
  "$root/build/venv/bin/pip" install --quiet --no-deps --progress-bar off \
    --disable-pip-version-check --upgrade --target "$peers" -r "$root/bench/peers.txt" >&2
  echo "$key" >"$peers/.installed"
fi
exec 9>&-
export PYTHONPATH=$root/python:$peers${PYTHONPATH:+:$PYTHONPATH}
