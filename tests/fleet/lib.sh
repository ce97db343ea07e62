# What the tests of the fleet share: programs that run beside them, and waiting for things.
# Whoever reads it sets $build and $dir.
# shellcheck shell=bash disable=SC2034,SC2154
set -euo pipefail

fleet=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
pids=()

skip() { echo "[SKIP] ${0##*/}: $1" && exit 77; }
fail() { echo "FAILED: $*" >&2 && exit 1; }

need() {
	local program
	[ "$(id -u)" -eq 0 ] || skip "not root"
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# shellcheck disable=SC2317 # called by the trap
cleanup() {
	local status=$?
	[ ${#pids[@]} -eq 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || true
	wait || true
	[ $status -eq 0 ] || tail -n 15 "$dir"/*.log >&2 || true
	rm -rf "$dir"
}

# start NAME COMMAND...: beside this script, until it ends; its pid is in $started
start() {
	local name=$1
	shift
	"$@" </dev/null >>"$dir/$name.out" 2>>"$dir/$name.log" &
	started=$!
	pids+=("$started")
}

# wait_until SECONDS COMMAND...: true as soon as the command is
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@" 2>/dev/null; do
		[ $SECONDS -lt $end ] || fail "never: $*"
		read -rt 0.1 <> <(:) || true
	done
}

holds() { [ -n "$("$@")" ]; }
# matches FILE JQ-EXPRESSION: some line of it does
matches() { [ -n "$(jq -c "select($2)" "$1" 2>/dev/null)" ]; }

# stop PID [SIGNAL]
stop() {
	kill "-${2:-TERM}" "$1"
	wait "$1" || true
}

# leak_start NAME: four zombies; their parent's pid is in $leak
leak_start() {
	mkfifo "$dir/leak.in"
	"$build/cast/leak" 4 0 "$1" <"$dir/leak.in" >/dev/null &
	leak=$!
	pids+=("$leak")
	exec {leak_in}>"$dir/leak.in"
}

leak_end() {
	echo "end" >&"$leak_in"
	exec {leak_in}>&-
	wait "$leak" || true
	rm "$dir/leak.in"
}
