# shellcheck shell=bash disable=SC2034,SC2154 # what run sets and reads
#
# Who watches processes during a measurement: lifetrace's daemon, or what a user would pick instead.
# One at a time; what starts here is stopped here. Sourced by run.

declare -A WATCHER_IS=(
	[none]='nobody watches'
	[lifetrace]='lifetraced, cow = off'
	[lifetrace_cow]='lifetraced as it is: also copy-on-write'
	[empty]='programs that do nothing, where lifetraced, cow = off, has its'
	[empty_cow]='programs that do nothing, where lifetraced has its'
	[exitsnoop]='exitsnoop (exits only)'
	[bpftrace]='bpftrace, printing forks, execs and exits'
	[forkstat]='forkstat (no BPF: the process connector)'
)
BPFTRACE_PROGRAM='
tracepoint:sched:sched_process_fork { printf("fork %d %d\n", args->parent_pid, args->child_pid); }
tracepoint:sched:sched_process_exec { printf("exec %d %s\n", args->pid, comm); }
tracepoint:sched:sched_process_exit { printf("exit %d %s\n", args->pid, comm); }'

watcher=''	# its process; lifetraced or a tool
socket=$dir/lifetraced.sock

lt() {
	local command=$1
	shift
	"$BIN/lifetrace" "$command" --socket "$socket" "$@"
}

is_gone() { ! kill -0 "$watcher" 2>/dev/null; }

answers_or_died() { is_gone || lt status >/dev/null 2>&1; }

# shellcheck disable=SC2120 # run passes options
# daemon_start [OPTION...]: returns when it answers and has seen all that lives.
daemon_start() {
	"$BIN/lifetraced" --socket "$socket" "$@" </dev/null >"$dir/log" 2>&1 &
	watcher=$!
	wait_until 30 answers_or_died || true
	! is_gone || {
		tail -n 20 "$dir/log" >&2
		die "the daemon did not start; its last words are above."
	}
}

# A BPF tool watches when it holds programs.
tool_watches() { is_gone || [ "$1" = forkstat ] || [ -n "$(bpf_ids)" ]; }

# The tools print for somebody to read; here nobody does, which is cheaper for them.
tool_start() {
	local -a command
	case $1 in
	empty | empty_cow)
		read -ra command <<<"${HOOKS_OF[$1]}"
		command=("$BENCH/empty" "${command[@]}")
		;;
	exitsnoop) command=(exitsnoop) ;;
	bpftrace) command=(bpftrace -e "$BPFTRACE_PROGRAM") ;;
	forkstat) command=(forkstat -e "fork,exec,exit") ;;
	esac
	have "${command[0]}" || return 1
	"${command[@]}" </dev/null >/dev/null 2>"$dir/log" &
	watcher=$!
	wait_until 30 tool_watches "$1"
}

# shellcheck disable=SC2119
# watcher_start NAME: false where it is not installed or does not start on this host.
watcher_start() {
	case $1 in
	none) return 0 ;;
	lifetrace) daemon_start --cow off ;;
	lifetrace_cow) daemon_start ;;
	*) tool_start "$1" || return 1 ;;
	esac
	sleep "$SETTLE_S"
	! is_gone
}

watcher_stop() {
	[ -n "$watcher" ] || return 0
	kill -TERM "$watcher" 2>/dev/null || true
	wait_until 10 is_gone || kill -KILL "$watcher" 2>/dev/null || true
	wait "$watcher" 2>/dev/null || true
	watcher=''
}

# Processor time of all its threads since they began, in nanoseconds.
watcher_cpu_ns() {
	[ -z "$watcher" ] || cat "/proc/$watcher/task/"*/schedstat | awk '{ sum += $1 } END { printf "%d\n", sum }'
}

# --- its BPF programs ----------------------------------------------------------------------------

# The ids of the programs that it, and no other, holds: others may run the same tools.
bpf_ids() { grep -hs '^prog_id:' "/proc/$watcher/fdinfo/"* | awk '{ print $2 }' | sort -u; }

# Run time of the programs IDS so far, in nanoseconds, and how often each ran: NAME NS RUNS
bpf_times() {
	bpftool --json prog show | jq -r --arg ids "$1" '
		($ids | split("\n")) as $own | .[] | select(.id | tostring | IN($own[]))
		| "\(.name // "unnamed").\(.id) \(.run_time_ns // 0) \(.run_cnt // 0)"' | sort
}

# The tracepoints and functions that its links hang on, one a line.
bpf_hooks() {
	bpftool --json link show | jq -r --arg ids "$(bpf_ids)" '
		($ids | split("\n")) as $own | .[] | select(.prog_id | tostring | IN($own[]))
		| .tp_name // .type' | sort -u
}

# Those of them that are tracepoints, on one line.
bpf_tracepoints() { bpf_hooks | grep -vx 'iter\|perf_event\|tracing' | paste -sd ' '; }
