# shellcheck shell=bash disable=SC2034 # what it sets is used by those who source it
#
# Shared by the scripts of this directory: what the machine can do, what is installed, the build.
# Sourced, never run. Owns no file outside build/ and its own directory below /run.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
JOBS=$(nproc 2>/dev/null || echo 2)
COMMAND_LINE="$0 $*"
PATH=$PATH:/usr/sbin:/sbin # bpftool lives there, and su's PATH does not

# package | how to see that it is there: cmd:NAME, pc:PKG-CONFIG-NAME, header:FILE or py:MODULE
BUILD_NEEDS='
gcc               cmd:gcc
libc6-dev         header:stdio.h
clang             cmd:clang
llvm              cmd:llvm-strip
bpftool           cmd:bpftool
cmake             cmd:cmake
ninja-build       cmd:ninja
pkg-config        cmd:pkg-config
libbpf-dev        pc:libbpf
libelf-dev        pc:libelf
libdw-dev         pc:libdw
zlib1g-dev        pc:zlib
libmicrohttpd-dev pc:libmicrohttpd
libjansson-dev    pc:jansson
libinih-dev       pc:inih
libncurses-dev    pc:ncursesw
libsystemd-dev    pc:libsystemd
libseccomp-dev    pc:libseccomp
libcap-dev        pc:libcap
libcurl4-openssl-dev pc:libcurl
uthash-dev        header:uthash.h
'
UNIT_NEEDS='
libcriterion-dev  pc:criterion
tmux              cmd:tmux
mandoc            cmd:mandoc
zsh               cmd:zsh
fish              cmd:fish
'
LIVE_NEEDS='
stress-ng         cmd:stress-ng
musl-tools        cmd:musl-gcc
strace            cmd:strace
jq                cmd:jq
curl              cmd:curl
dpkg-dev          cmd:dpkg-shlibdeps
mmdebstrap        cmd:mmdebstrap
systemd-container cmd:systemd-nspawn
prometheus        cmd:promtool
prometheus-alertmanager cmd:prometheus-alertmanager
systemd-journal-remote cmd:/lib/systemd/systemd-journal-remote
openssl           cmd:openssl
podman            cmd:podman
runc              cmd:runc
python3           cmd:python3
python3-yaml      py:yaml
iproute2          cmd:ip
'
VM_NEEDS='
qemu-system-x86   cmd:qemu-system-x86_64
qemu-system-arm   cmd:qemu-system-aarch64
gcc-aarch64-linux-gnu cmd:aarch64-linux-gnu-gcc
binutils          cmd:readelf
mmdebstrap        cmd:mmdebstrap
busybox-static    cmd:busybox
cpio              cmd:cpio
'
LINT_NEEDS='
clang-format      cmd:clang-format
clang-tidy        cmd:clang-tidy
cppcheck          cmd:cppcheck
jq                cmd:jq
shellcheck        cmd:shellcheck
'

# --- words ---------------------------------------------------------------------------------------

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	BOLD=$'\e[1m' PLAIN=$'\e[0m'
else
	BOLD='' PLAIN=''
fi

say() { printf '%s==> %s%s\n' "$BOLD" "$*" "$PLAIN"; }

# Each further argument is a line of its own: first what is wrong, then what to do about it.
die() {
	printf '%s: %s\n' "${0##*/}" "$1" >&2
	shift
	[ $# -eq 0 ] || printf '  %s\n' "$@" >&2
	exit 1
}

usage_error() {
	printf '%s: %s (see --help)\n' "${0##*/}" "$1" >&2
	exit 2
}

have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# --- what the machine can do ---------------------------------------------------------------------

need_root() {
	is_root || die "not root: tracing processes needs root." "Run it again as root: sudo $COMMAND_LINE"
}

# bpf ring buffers, tp_btf and iter/task together first came with 5.8; 5.10 is the oldest tested.
need_kernel() {
	local release major minor
	release=$(uname -r)
	IFS=.- read -r major minor _ <<<"$release"
	minor=${minor%%[!0-9]*}
	if [ "$major" -lt 5 ] || { [ "$major" -eq 5 ] && [ "${minor:-0}" -lt 10 ]; }; then
		die "the kernel is too old: this is $release, lifetrace needs 5.10 or newer." \
			"Boot a newer kernel: Debian 11 and everything after it has one."
	fi
}

need_btf() {
	[ -d /sys/kernel ] || die "/sys is not mounted." "Mount it: mount -t sysfs sysfs /sys"
	[ -r /sys/kernel/btf/vmlinux ] ||
		die "the kernel has no BTF: /sys/kernel/btf/vmlinux is missing." \
			"Boot a kernel built with CONFIG_DEBUG_INFO_BTF=y; Debian's own kernels are."
}

# A locked-down kernel refuses BPF programs any reading of kernel memory in this mode only.
need_no_confidentiality() {
	local file=/sys/kernel/security/lockdown
	if [ -r "$file" ] && grep -q '\[confidentiality\]' "$file"; then
		die "the kernel is locked down (confidentiality): BPF programs may not read its memory." \
			"Boot with lockdown=integrity or without lockdown."
	fi
}

# need_mount TYPE DIR MAGIC: mounts it where it is missing. MAGIC is the name stat -f gives it.
need_mount() {
	local type=$1 dir=$2 words
	[ "$(stat -f -c %T "$dir" 2>/dev/null)" != "$3" ] || return 0
	grep -qw "$type" /proc/filesystems ||
		die "the kernel has no $type." "Boot a kernel that has it; Debian's own kernels do."
	[ -d "$dir" ] || die "$dir is missing, so $type cannot be mounted there."
	say "mounting $type at $dir"
	words=$(mount -t "$type" "$type" "$dir" 2>&1) ||
		die "$type is not mounted and cannot be: ${words%%$'\n'*}" \
			"In a container, start it with CAP_SYS_ADMIN or with $dir mounted from the host."
}

need_tracefs() {
	[ ! -d /sys/kernel/tracing/events ] || return 0
	need_mount tracefs /sys/kernel/tracing tracefs
}

need_bpffs() { need_mount bpf /sys/fs/bpf bpf_fs; }

# Asks the kernel for real, by one small map: reading settings would miss seccomp, LSMs and containers.
need_bpf() {
	local pin=/sys/fs/bpf/lifetrace_probe_$$ words
	if words=$(bpftool map create "$pin" type array key 4 value 4 entries 1 name lifetrace 2>&1); then
		rm -f "$pin"
		return 0
	fi
	die "the kernel refuses bpf(2): ${words//$'\n'/ }" \
		"It needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN) and a seccomp filter that lets bpf through;" \
		"in a container: --privileged, or --cap-add BPF,PERFMON,SYS_RESOURCE with seccomp=unconfined."
}

# Before anything is installed: what no package can mend.
need_machine() {
	need_root
	need_kernel
	need_btf
	need_no_confidentiality
	need_tracefs
	need_bpffs
}

# --- what is installed ---------------------------------------------------------------------------

is_there() {
	local name=${1#*:}
	case $1 in
	cmd:*) have "$name" ;;
	py:*) have python3 && python3 -c "import $name" 2>/dev/null ;;
	pc:*) have pkg-config && pkg-config --exists "$name" ;;
	header:*) [ -n "$(find /usr/include /usr/local/include -maxdepth 1 -name "$name" 2>/dev/null)" ] ;;
	esac
}

# missing NEEDS: the packages that are not there, one a line. One dpkg-query answers for nearly all.
missing() {
	local package probe installed=''
	if have dpkg-query; then
		# shellcheck disable=SC2046 # names of packages hold no blanks
		installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' \
			$(awk 'NF { print $1 }' <<<"$1") 2>/dev/null || true)
	fi
	while read -r package probe; do
		[ -n "$package" ] || continue
		case $'\n'$installed$'\n' in *$'\n'"installed $package"$'\n'*) continue ;; esac
		is_there "$probe" || echo "$package"
	done <<<"$1"
}

# install_missing NEEDS: nothing to do is the usual case, and then apt is not called at all.
install_missing() {
	local -a packages
	mapfile -t packages < <(missing "$1")
	[ ${#packages[@]} -gt 0 ] || return 0
	have apt-get || die "not installed: ${packages[*]}" \
		"There is no apt-get here to install them with: these are their names in Debian and Ubuntu;" \
		"install what your distribution calls them, then run this again."
	is_root || die "not installed: ${packages[*]}" "Run it once as root, or: apt-get install ${packages[*]}"
	say "installing ${packages[*]}"
	apt_quietly update
	apt_quietly install -y --no-install-recommends "${packages[@]}"
}

apt_quietly() {
	local log
	log=$(mktemp)
	if ! DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "apt-get $1 failed; its last words are above." \
			"Is there a network, and do /etc/apt/sources.list* name a Debian mirror?"
	fi
	rm -f "$log"
}

# --- the build -----------------------------------------------------------------------------------

# build PRESET TARGETS [CMAKE-OPTION...]: quiet, unless it fails. TARGETS are words, or "all".
build() {
	local preset=$1 log=$ROOT/build/$1.log
	local -a targets
	read -ra targets <<<"$2"
	shift 2
	{ mkdir -p "$ROOT/build" && touch "$log"; } 2>/dev/null || die "cannot write below $ROOT/build." \
		"Was it built by another user? Remove it, or be that user."
	say "building ($preset)"
	if ! (cd "$ROOT" && cmake --preset "$preset" "$@" &&
		cmake --build --preset "$preset" --target "${targets[@]}") </dev/null >"$log" 2>&1; then
		tail -n 60 "$log" >&2
		die "the build failed; its last words are above, all of them in $log"
	fi
}

# wait_until SECONDS COMMAND...: true as soon as the command is.
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}
