# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # what run, watchers.sh and churn_sets set
#
# One function for each thing that is measured: measure_NAME takes samples, and says what they are of
# by figure. Sourced by run.

# --- samples and figures -------------------------------------------------------------------------

sample() { echo "$2" >>"$dir/samples.$1"; }

# figure KEY median|max|sum LIMIT UNIT WORDS...: what the samples of KEY come to. LIMIT is what is
# promised, "-" for none.
figure() {
	local key=$1 how=$2 limit=$3 unit=$4
	shift 4
	[ -s "$dir/samples.$key" ] || return 0
	jq -sc --arg key "$key" --arg how "$how" --arg limit "$limit" --arg unit "$unit" \
		--arg words "$*" '
		sort | (if $how == "max" then max elif $how == "sum" then add
		        else (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2 end) as $value
		| {key: $key, words: $words, value: $value, unit: $unit, how: $how,
		   promise: (if $limit == "-" then null else ($limit | tonumber) end),
		   low: min, high: max, samples: length}
		| .met = (if .promise == null then null else .value <= .promise end)' \
		"$dir/samples.$key" >>"$dir/figures"
}

remark() { jq -nc --arg key "$1" --arg text "$2" '{key: $key, text: $text}' >>"$dir/remarks"; }

divide() { awk -v a="$1" -v b="$2" -v digits="${3:-1}" 'BEGIN { printf "%.*f\n", digits, a / b }'; }

# --- what the kernel counts ----------------------------------------------------------------------

# Processes and threads born since boot, on the whole host.
births() { awk '$1 == "processes" { print $2 }' /proc/stat; }

status_of() { awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/status"; }

daemon_status() { lt status --json | jq -r "$1"; }

# churn_sets WORDS...: runs churn and sets what it prints: lives, seconds, round_trip_ns, cpu_ns
churn_sets() {
	local word line
	line=$("$BENCH/churn" "$@") || die "churn $* failed"
	for word in $line; do
		case $word in lives=* | seconds=* | round_trip_ns=* | cpu_ns=*) declare -g "${word?}" ;; esac
	done
}

# --- (a) kernel side -----------------------------------------------------------------------------

bpf_stats() { echo "$1" >/proc/sys/kernel/bpf_stats_enabled; }

# kernel_window KEY CHURN...: one window of lives; samples the sum and each program.
kernel_window() {
	local key=$1 ids before after born name ns runs sum=0
	shift
	ids=$(bpf_ids)
	bpf_times "$ids" >"$dir/before"
	before=$(births)
	"$BENCH/churn" "$@" >/dev/null
	after=$(births)
	bpf_times "$ids" >"$dir/after"
	born=$((after - before))
	while read -r name ns runs; do
		sum=$((sum + ns))
		[ "$runs" -gt $((born / 4)) ] || continue
		sample "$key.${name%.*}" "$(divide "$ns" "$born")"
	done < <(join "$dir/before" "$dir/after" | awk '{ print $1, $4 - $2, $5 - $3 }')
	sample "$key" "$(divide "$sum" "$born")"
}

kernel_windows() {
	local watcher=$1 i
	for ((i = 0; i < WINDOWS; i++)); do
		kernel_window "kernel.$watcher.fork" "$KERNEL_LIVES"
		kernel_window "kernel.$watcher.exec" --exec "$BENCH/tiny" "$KERNEL_LIVES"
	done
}

kernel_figures() {
	local watcher=$1 limit=$2 file key
	figure "kernel.$watcher.exec" median "$limit" ns \
		"kernel side per life (fork, exec, exit, reap): ${WATCHER_IS[$watcher]}"
	figure "kernel.$watcher.fork" median "$limit" ns \
		"kernel side per life (fork, exit, reap): ${WATCHER_IS[$watcher]}"
	[ "$watcher" = lifetrace ] || return 0
	for file in "$dir/samples.kernel.lifetrace.exec."*; do
		key=${file#"$dir"/samples.}
		figure "$key" median - ns "of these, with an exec: ${key##*.}"
	done
}

measure_kernel() {
	local watcher limit
	bpf_stats 1
	for watcher in lifetrace exitsnoop execsnoop bpftrace; do
		watcher_start "$watcher" || continue
		kernel_windows "$watcher"
		watcher_stop
		limit=-
		[ "$watcher" != lifetrace ] || limit=2000
		kernel_figures "$watcher" "$limit"
	done
	bpf_stats 0
	remark kernel "The kernel's own counting (two looks at a clock for each run of a program) is in it."
}

# --- (b) (f) the daemon's CPU, and the round trip, side by side ----------------------------------

declare -A bare_ns bare_cpu_ns	# of this round, by kind of life

# cost_round WATCHER KIND CHURN...: its processor time per life, and what a life takes meanwhile
cost_round() {
	local watcher=$1 kind=$2 key=cost.$1.$2 cpu0 cpu1 born0 born1
	shift 2
	cpu0=$(watcher_cpu_ns)
	born0=$(births)
	churn_sets --cpu "$LAST_CPU" "$@"
	sleep "$SETTLE_S"
	all_live || {
		remark "$watcher" "it ended by itself under the load of $kind."
		return
	}
	born1=$(births)
	cpu1=$(watcher_cpu_ns)
	if [ "$watcher" = none ]; then
		bare_ns[$kind]=$round_trip_ns bare_cpu_ns[$kind]=$cpu_ns
		sample "$key.trip" "$round_trip_ns"
		return
	fi
	sample "$key.cpu" "$(divide $((cpu1 - cpu0)) $((born1 - born0)))"
	sample "$key.ratio" "$(divide "$round_trip_ns" "${bare_ns[$kind]}" 4)"
	sample "$key.cpu_ratio" "$(divide "$cpu_ns" "${bare_cpu_ns[$kind]}" 4)"
}

# cost_figures KIND LIFE
cost_figures() {
	local kind=$1 life=$2 watcher limit
	figure "cost.none.$kind.trip" median - ns "$life: ${WATCHER_IS[none]}"
	for watcher in "${WATCHERS[@]}"; do
		limit=-
		[ "$watcher" != lifetrace ] || limit=2000
		figure "cost.$watcher.$kind.cpu" median "$limit" ns \
			"its CPU per $life: ${WATCHER_IS[$watcher]}"
	done
	for watcher in "${WATCHERS[@]}"; do
		figure "cost.$watcher.$kind.ratio" median - times "$life, slower by: ${WATCHER_IS[$watcher]}"
	done
	for watcher in "${WATCHERS[@]}"; do
		figure "cost.$watcher.$kind.cpu_ratio" median - times \
			"$life, more CPU by: ${WATCHER_IS[$watcher]}"
	done
}

WATCHERS=(lifetrace lifetrace-tail exitsnoop execsnoop bpftrace forkstat)

measure_cost() {
	local watcher i
	for ((i = 0; i < ROUNDS; i++)); do
		for watcher in none "${WATCHERS[@]}"; do
			if watcher_start "$watcher"; then
				cost_round "$watcher" fork "$LIVES"
				cost_round "$watcher" exec --exec "$BENCH/tiny" "$((LIVES / 2))"
				watcher_stop
			elif [ "$i" -eq 0 ]; then
				skip "$watcher" "it is not installed, or does not start here"
			fi
		done
	done
	cost_figures fork "fork + exit + wait"
	cost_figures exec "fork + exec + exit + wait"
}

# --- (c) memory ----------------------------------------------------------------------------------

# crowd_start N [PROGRAM...]: holds until crowds_end
crowd_start() {
	local fifo=$dir/crowd.${#crowds[@]} fd ready
	mkfifo "$fifo" "$fifo.ready"
	"$BENCH/crowd" "$@" <"$fifo" >"$fifo.ready" &
	crowds+=($!)
	exec {fd}>"$fifo"
	crowd_fds+=("$fd")
	read -r ready <"$fifo.ready" || true
	[ "$ready" = ready ] || die "crowd $* failed"
}

crowds_end() {
	local fd
	for fd in "${crowd_fds[@]}"; do
		exec {fd}>&-
	done
	[ ${#crowds[@]} -eq 0 ] || wait "${crowds[@]}" || true
	crowds=() crowd_fds=()
	rm -f "$dir"/crowd.*
}

rss_bytes() { echo $(($(status_of "$daemon" RssAnon) * 1024)); }

# What was done for the answer is over when the next is asked for.
settled_processes() {
	sleep 3
	daemon_status .processes >/dev/null
	sleep "$SETTLE_S"
	daemon_status .processes
}

# memory_round KEY [PROGRAM...]: lives that ended are forgotten at once, so that others' do not count.
memory_round() {
	local key=$1 n0 n1 rss0 rss1
	shift
	daemon_start --reaped-keep 0s
	n0=$(daemon_status .processes)
	[ "$n0" -ge 1000 ] || crowd_start $((1000 - n0)) "$@"
	n0=$(settled_processes)
	rss0=$(rss_bytes)
	sample "memory.$key.base" "$rss0"
	crowd_start 10000 "$@"
	n1=$(settled_processes)
	rss1=$(rss_bytes)
	sample "memory.$key.slope" "$(divide $((rss1 - rss0)) $((n1 - n0)))"
	crowds_end
	watcher_stop
}

measure_memory() {
	local i
	if [ "$(cat /proc/sys/kernel/pid_max)" -lt 16000 ]; then
		skip memory "kernel.pid_max is too small for 11,000 processes"
		return
	fi
	for ((i = 0; i < MEMORY_ROUNDS; i++)); do
		memory_round fork
		memory_round exec sleep 1000
	done
	figure memory.fork.base median 10485760 bytes "RssAnon at 1,000 processes that forked"
	figure memory.exec.base median 10485760 bytes "RssAnon at 1,000 processes that exec'ed"
	figure memory.fork.slope median 400 bytes "each further process, up to 11,000: forked"
	figure memory.exec.slope median 400 bytes "each further process, up to 11,000: exec'ed"
}

# --- (d) wake-ups --------------------------------------------------------------------------------

# Sets born and switches, without a process being born for it.
look_without_birth() {
	local key value rest
	while read -r key value rest; do
		[ "$key" != processes ] || born=$value
	done </proc/stat
	while read -r key value rest; do
		[ "$key" != voluntary_ctxt_switches: ] || switches=$value
	done <"/proc/$daemon/status"
}

# A second is idle if nothing was born in it nor in the two before: what the daemon does after a
# birth is not idling.
measure_idle() {
	local born switches born0 switches0 calm=0 idle=0 woken=0 passed=0 all0 never
	exec {never}<> <(:)
	daemon_start
	sleep 5
	look_without_birth
	born0=$born switches0=$switches all0=$switches
	while [ "$idle" -lt "$IDLE_S" ] && [ "$passed" -lt $((IDLE_S * 4)) ]; do
		read -rt 1 -u "$never" || true
		look_without_birth
		passed=$((passed + 1)) calm=$((calm + 1))
		[ "$born" -eq "$born0" ] || calm=0
		if [ "$calm" -gt 2 ]; then
			idle=$((idle + 1)) woken=$((woken + switches - switches0))
		fi
		born0=$born switches0=$switches
	done
	exec {never}>&-
	watcher_stop
	remark idle "$idle idle seconds of $passed; in all of them $(divide $((switches - all0)) "$passed" 2) a second."
	if [ "$idle" -lt $((IDLE_S / 2)) ]; then
		skip idle "the host never was: $idle idle seconds of $passed"
	else
		sample idle "$(divide "$woken" "$idle" 3)"
		figure idle median 1 "a second" "wake-ups of the daemon on an idle host"
	fi
}

# --- (e) system calls ----------------------------------------------------------------------------

# Tracepoints of system calls that are switched on, of tracefs.
enabled_syscall_events() {
	cat /sys/kernel/tracing/events/{raw_syscalls,syscalls}/enable | grep -vc '^0$' || true
}

measure_syscalls() {
	local i bare watched events0
	for ((i = 0; i < ROUNDS * 2; i++)); do
		events0=$(enabled_syscall_events)
		bare=$("$BENCH/getppid" "$CALLS")
		watcher_start lifetrace
		watched=$("$BENCH/getppid" "$CALLS")
		sample syscalls.enabled $(($(enabled_syscall_events) - events0))
		sample syscalls.hooks "$(bpf_hooks | grep -c '^sys_\|^perf_event$' || true)"
		watcher_stop
		sample syscalls.bare "$bare"
		sample syscalls.watched "$watched"
		sample syscalls.ratio "$(divide "$watched" "$bare" 4)"
	done
	figure syscalls.enabled max 0 events "system call tracepoints that it switches on"
	figure syscalls.hooks max 0 hooks "of its hooks, those on system calls"
	figure syscalls.bare median - ns "getppid: ${WATCHER_IS[none]}"
	figure syscalls.watched median - ns "getppid: ${WATCHER_IS[lifetrace]}"
	figure syscalls.ratio median 1.02 times "getppid, slower by"
}

# --- (g) (h) how soon it is told -----------------------------------------------------------------

# tail_begin FIELD OFFSET_NS TAIL-OPTION...: how long after FIELD each line of a tail comes
tail_begin() {
	local field=$1 offset_ns=$2
	shift 2
	"$BIN/lifetrace" tail --json --socket "$socket" "$@" > >("$BENCH/stopwatch" "$field" "$offset_ns" >"$dir/delays") &
	tail_pid=$!
	sleep 1
}

# tail_end KEY SECONDS: waits for the tail's --count lines; its stopwatch may have a word left to write.
tail_end() {
	local key=$1 delay_ns
	wait_until "$2" is_gone "$tail_pid" || kill "$tail_pid"
	wait "$tail_pid" 2>/dev/null || true
	sleep 0.2
	while read -r delay_ns; do
		sample "$key" "$(divide "$delay_ns" 1000000 2)"
	done <"$dir/delays"
	[ ! -s "$dir/samples.$key" ] || cp "$dir/samples.$key" "$dir/samples.$key.max"
}

# At odd moments, some of them close together: some open a batch, some come into one.
measure_tail() {
	local i
	watcher_start lifetrace
	tail_begin time_ns 0 --kind fork --comm churn --count "$TOLD"
	for ((i = 0; i < TOLD / 20; i++)); do
		"$BENCH/churn" --pause $((1000 + i * 7919 % 90000)) 20 >/dev/null
	done
	tail_end tail 30
	watcher_stop
	figure tail median 100 ms "from a fork to its line in tail: median"
	figure tail.max max 100 ms "from a fork to its line in tail: longest of $TOLD"
}

# flagged_round KEY: 100 zombies at odd moments, and when their lines come
flagged_round() {
	tail_begin zombie_ns 1000000000 --kind flagged --comm crowd --count 100
	crowd_start --zombies --pause 17377 100
	tail_end "$1" 30
}

measure_flag() {
	daemon_start --zombie-age 1s --leak-count 1000000
	flagged_round flag.few
	crowds_end
	crowd_start 10000
	flagged_round flag.many
	crowds_end
	watcher_stop
	figure flag.few median 50 ms "flagged after zombie_age, and told: median"
	figure flag.few.max max 50 ms "flagged after zombie_age, and told: longest of 100"
	figure flag.many median 50 ms "the same with 10,000 more processes: median"
	figure flag.many.max max 50 ms "the same with 10,000 more processes: longest of 100"
}

# --- (i) losses ----------------------------------------------------------------------------------

loss_round() {
	local key=$1 lost0
	shift
	lost0=$(daemon_status '.lost | add')
	churn_sets --procs $((CPUS * 2)) "$@"
	sample "loss.$key.rate" "$(divide "$lives" "$seconds" 0)"
	sample "loss.$key" $(($(daemon_status '.lost | add') - lost0))
}

measure_loss() {
	local i
	daemon_start
	for ((i = 0; i < ROUNDS; i++)); do
		loss_round fork "$LIVES"
		loss_round vfork --vfork $((LIVES * 4))
		loss_round exec --vfork --exec "$BENCH/tiny" "$LIVES"
	done
	watcher_stop
	for i in fork vfork exec; do
		figure "loss.$i.rate" max - "lives/s" "as fast as it goes on all CPUs: $i"
		figure "loss.$i" sum 0 events "and lost: $i"
	done
}
