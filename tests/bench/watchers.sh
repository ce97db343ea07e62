# shellcheck shell=bash disable=SC2034,SC2154 # what run and figures.sh set and read
#
# Who watches processes during a measurement: lifetrace's daemon, alone or with a tail, and what a
# user would pick instead. One at a time; what starts here is stopped here. Sourced by run.

declare -A WATCHER_IS=(
	[none]='nobody watches'
	[lifetrace]='lifetraced'
	[lifetrace-tail]='lifetraced and lifetrace tail --json'
	[exitsnoop]='exitsnoop (exits only)'
	[execsnoop]='execsnoop (execs only)'
	[bpftrace]='bpftrace, printing forks, execs and exits'
	[forkstat]='forkstat (no BPF: the process connector)'
)
BPFTRACE_PROGRAM='
tracepoint:sched:sched_process_fork { printf("fork %d %d\n", args->parent_pid, args->child_pid); }
tracepoint:sched:sched_process_exec { printf("exec %d %s\n", args->pid, comm); }
tracepoint:sched:sched_process_exit { printf("exit %d %s\n", args->pid, comm); }'

declare -a watcher_pids=()	# whose processor time counts
daemon=''			# the one of them that is lifetraced
socket=$dir/lifetraced.sock

# The tools of bcc come in two makes: on libbpf, and on Python, which compiles at its start.
tool_path() {
	case $1 in
	exitsnoop | execsnoop) command -v "$1" || command -v "$1-bpfcc" ;;
	*) command -v "$1" ;;
	esac
}

lt() {
	local command=$1
	shift
	"$BIN/lifetrace" "$command" --socket "$socket" "$@"
}

answers_or_died() { ! kill -0 "$daemon" 2>/dev/null || lt status >/dev/null 2>&1; }

# shellcheck disable=SC2120 # figures.sh passes options
# daemon_start [OPTION...]: returns when it answers and has seen all that lives.
daemon_start() {
	"$BIN/lifetraced" --socket "$socket" "$@" </dev/null >"$dir/log" 2>&1 &
	daemon=$!
	watcher_pids=("$daemon")
	wait_until 30 answers_or_died || true
	lt status >/dev/null 2>&1 || {
		tail -n 20 "$dir/log" >&2
		die "the daemon did not start; its last words are above."
	}
}

# The tools print for somebody to read; here nobody does, which is cheaper for them.
tool_start() {
	local -a command
	command=("$(tool_path "$1")") || return 1
	case $1 in
	bpftrace) command+=(-e "$BPFTRACE_PROGRAM") ;;
	forkstat) command+=(-e "fork,exec,exit") ;;
	esac
	"${command[@]}" </dev/null >/dev/null 2>"$dir/log" &
	watcher_pids=($!)
	wait_until 30 tool_watches "$1"
}

# A BPF tool watches when it holds programs.
tool_watches() {
	kill -0 "${watcher_pids[0]}" 2>/dev/null || return 0
	[ "$1" = forkstat ] || [ -n "$(bpf_ids)" ]
}

# shellcheck disable=SC2119
# watcher_start NAME: false where it is not installed or does not start on this host.
watcher_start() {
	watcher_pids=()
	case $1 in
	none) ;;
	lifetrace) daemon_start ;;
	lifetrace-tail)
		daemon_start
		"$BIN/lifetrace" tail --json --socket "$socket" >/dev/null 2>"$dir/tail.log" &
		watcher_pids=("$!" "$daemon") # in this order they are ended
		;;
	*) tool_start "$1" || return 1 ;;
	esac
	sleep "$SETTLE_S"
	all_live || {
		watcher_stop
		return 1
	}
}

all_live() {
	local pid
	for pid in "${watcher_pids[@]}"; do
		kill -0 "$pid" 2>/dev/null || return 1
	done
}

watcher_stop() {
	local pid
	for pid in "${watcher_pids[@]}"; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	for pid in "${watcher_pids[@]}"; do
		wait_until 10 is_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	watcher_pids=()
	daemon=''
}

is_gone() { ! kill -0 "$1" 2>/dev/null; }

# Processor time of all its threads since they began, in nanoseconds.
watcher_cpu_ns() {
	local pid
	for pid in "${watcher_pids[@]}"; do
		cat "/proc/$pid/task/"*/schedstat || true
	done 2>/dev/null | awk '{ sum += $1 } END { printf "%d\n", sum }'
}

# --- its BPF programs ----------------------------------------------------------------------------

# The ids of the programs that it, and no other, holds: others may run the same tools.
bpf_ids() {
	local pid
	for pid in "${watcher_pids[@]}"; do
		grep -hs '^prog_id:' "/proc/$pid/fdinfo/"* || true
	done | awk '{ print $2 }' | sort -u
}

# A line for each of the programs IDS: its NAME.ID, run time in nanoseconds, and runs.
bpf_times() {
	bpftool --json prog show | jq -r --arg ids "$1" '
		($ids | split("\n")) as $own | .[] | select(.id | tostring | IN($own[]))
		| "\(.name // "unnamed").\(.id) \(.run_time_ns // 0) \(.run_cnt // 0)"' | sort
}

# The tracepoints and functions that its links hang on, one a line.
bpf_hooks() {
	local ids
	ids=$(bpf_ids)
	bpftool --json link show | jq -r --arg ids "$ids" '
		($ids | split("\n")) as $own | .[] | select(.prog_id | tostring | IN($own[]))
		| .tp_name // .type' | sort -u
}
