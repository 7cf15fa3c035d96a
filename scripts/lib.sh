# shellcheck shell=bash
# What the scripts share: where things are, numbered steps with their logs and
# times, and stamps that say which step is already done. Sourced, never run.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=$ROOT/build
LOGS=$BUILD/logs
STAMPS=$BUILD/stamps
VENV=$BUILD/venv
export ROOT BUILD VENV

# Two gigabytes a compiler process, so that a small machine does not swap.
memory_jobs() {
  local kilobytes
  kilobytes=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo 2>/dev/null || true)
  echo $((${kilobytes:-2000000} / 2000000 + 1))
}
JOBS=${DLC_JOBS:-$(printf '%s\n' "$(nproc)" "$(memory_jobs)" | sort -n | head -n 1)}
export JOBS

# ccache and pip want a home; where the environment names none (as in some
# CI systems), it is the account's, or else a folder of the build's own.
if [ -z "${HOME:-}" ]; then
  HOME=$(getent passwd "$(id -u)" | cut -d: -f6 || true)
  [ -n "$HOME" ] && [ -w "$HOME" ] || HOME=$BUILD/home
  mkdir -p "$HOME"
  export HOME
fi

# Messages are in one language, whatever the machine's.
export LC_ALL=C.UTF-8
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { printf '%s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# The time since the shell began, and a span, for people: "7 s", "2 min 05 s".
span() {
  if [ "$1" -lt 60 ]; then
    echo "$1 s"
  else
    printf '%d min %02d s\n' $(($1 / 60)) $(($1 % 60))
  fi
}

# steps N: the number of steps to come, for "[2/5]".
STEP=0
STEP_COUNT=0
steps() {
  STEP=0
  STEP_COUNT=$1
}

# step "What is being done": begins the next one.
step() {
  STEP=$((STEP + 1))
  STEP_TITLE=$1
  STEP_BEGIN=$SECONDS
}
step_line() { printf '[%d/%d] %s: %s\n' "$STEP" "$STEP_COUNT" "$STEP_TITLE" "$1"; }
step_ready() { step_line "ready"; }
step_done() { step_line "done in $(span $((SECONDS - STEP_BEGIN)))"; }

# logged NAME COMMAND...: runs a command with its output in build/logs/NAME.log.
# Shows how far it is: the log's last line on a terminal, a line every half
# minute elsewhere. A command that fails leaves the end of its log on the
# screen and ends the script.
logged() {
  local log=$LOGS/$1.log status=0 last now
  shift
  mkdir -p "$LOGS"
  # A process group of its own, so that all of it can be ended.
  set -m
  "$@" >"$log" 2>&1 </dev/null 9>&- &
  COMMAND_PID=$!
  set +m
  last=$SECONDS
  while kill -0 "$COMMAND_PID" 2>/dev/null; do
    sleep 0.2
    now=$SECONDS
    if [ -t 1 ]; then
      [ "$now" -gt "$last" ] || continue
      printf '\r\033[K[%d/%d] %s: %s  %s' "$STEP" "$STEP_COUNT" "$STEP_TITLE" \
        "$(span $((now - STEP_BEGIN)))" "$(log_position "$log" 60)"
      last=$now
    elif [ $((now - last)) -ge 30 ]; then
      step_line "$(span $((now - STEP_BEGIN))) so far, $(log_position "$log" 80)"
      last=$now
    fi
  done
  wait "$COMMAND_PID" || status=$?
  COMMAND_PID=
  [ ! -t 1 ] || printf '\r\033[K'
  [ "$status" -ne 0 ] || return 0
  {
    say "---- the end of $log"
    tail -n 40 "$log"
    say "----"
    die "$STEP_TITLE failed (status $status): $*
The whole log is in $log"
  } >&2
}

# The last line of a log, short, without control characters.
log_position() {
  tail -c 400 "$1" 2>/dev/null | tr '\r' '\n' | tr -cd '[:print:]\n' |
    grep -v '^ *$' | tail -n 1 | cut -c "1-$2" || true
}

# What is under way dies with the script; a step then begins again next time.
COMMAND_PID=
interrupted() {
  trap - INT TERM
  [ -z "$COMMAND_PID" ] || kill -- "-$COMMAND_PID" 2>/dev/null || true
  printf '\ninterrupted; the next run goes on from here\n' >&2
  exit 130
}
trap interrupted INT TERM

# digest FILE-OR-WORD...: one hash of all of them, and of the place of the
# checkout, which environments and build folders remember.
digest() {
  local item
  {
    say "$ROOT"
    for item in "$@"; do
      if [ -f "$item" ]; then cat "$item"; else say "$item"; fi
    done
  } | sha256sum | cut -d' ' -f1
}
stamped() { [ -f "$STAMPS/$1" ] && [ "$(cat "$STAMPS/$1")" = "$2" ]; }
unstamp() { rm -f "$STAMPS/$1"; }
stamp() {
  mkdir -p "$STAMPS"
  say "$2" >"$STAMPS/$1.new"
  mv "$STAMPS/$1.new" "$STAMPS/$1"
}
