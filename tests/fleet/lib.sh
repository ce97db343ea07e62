# What the tests of the fleet share: programs that run beside them, and waiting for things.
# Whoever reads it sets $build and $dir.
# shellcheck shell=bash disable=SC2034,SC2154
set -euo pipefail

fleet=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
pids=()
unit_made= # what leak_start made
cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)

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
	unit_end || true
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

# authority NAME: a key and a certificate that signs others
authority() {
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" \
		-keyout "$dir/$1.key" -out "$dir/$1.pem" 2>/dev/null
}
# certificate NAME AUTHORITY: a key and a certificate for 127.0.0.1
certificate() {
	openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$dir/$1.key" -out "$dir/$1.csr" 2>/dev/null
	openssl x509 -req -in "$dir/$1.csr" -CA "$dir/$2.pem" -CAkey "$dir/$2.key" -CAcreateserial \
		-days 2 -extfile <(echo "subjectAltName = IP:127.0.0.1") -out "$dir/$1.pem" 2>/dev/null
}

# in_unit UNIT COMMAND...: instead of this shell, in a control group of that name; see leak_start
in_unit() {
	echo $BASHPID >"$cgroups/$1/cgroup.procs"
	"${@:2}"
}

# leak_start NAME [UNIT]: four zombies; their parent's pid is in $leak
leak_start() {
	mkfifo "$dir/leak.in"
	if [ -n "${2:-}" ]; then
		unit_made=$cgroups/$2
		mkdir "$unit_made" || skip "no control groups to make here"
		in_unit "$2" exec "$build/cast/leak" 4 0 "$1" <"$dir/leak.in" >/dev/null &
	else
		"$build/cast/leak" 4 0 "$1" <"$dir/leak.in" >/dev/null &
	fi
	leak=$!
	pids+=("$leak")
	exec {leak_in}>"$dir/leak.in"
}

# Its zombies are init's to reap.
unit_end() {
	[ -n "$unit_made" ] || return 0
	wait_until 30 rmdir "$unit_made"
	unit_made=
}

leak_end() {
	echo "end" >&"$leak_in"
	exec {leak_in}>&-
	wait "$leak" || true
	rm "$dir/leak.in"
	unit_end
}
