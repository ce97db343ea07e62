# shellcheck shell=bash disable=SC2154 # what it asks for is set by those who source it
#
# Sourced: a machine of its own around programs of a build, in QEMU without KVM (which cannot be
# counted on). Whoever sources it sets `work` (an empty directory) and `build`.

guest_limit_s=${LIFETRACE_VM_LIMIT:-600}
guest_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# QEMU's architecture and machine. microvm hangs one time in three. -cpu max has what glibc's newer levels
# ask for, and signs return addresses, by the rule that takes QEMU a fifth of the time.
declare -A machines=(
	[amd64]='x86_64 -M q35 -cpu max'
	[arm64]='aarch64 -M virt -cpu max,pauth-impdef=on'
)
declare -A consoles=([amd64]=ttyS0 [arm64]=ttyAMA0)

skip()
{
	echo "skipped: $*"
	exit 77
}

fail()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# Prints the path of a program of the build.
program()
{
	local found

	found=$(find "$build" -name "$1" -type f -perm -u+x | sort | awk 'NR == 1')
	[[ -n $found ]] || fail "no program $1 below $build"
	echo "$found"
}

# Sets arch, by Debian's name, and sysroot: where its libraries lie if it is not this machine's.
look_at_build()
{
	case $(readelf -h "$(program lifetraced)") in
	*X86-64*) arch=amd64 ;;
	*AArch64*) arch=arm64 ;;
	*) fail "$build is for neither amd64 nor arm64" ;;
	esac
	sysroot=$(sed -n 's/^CMAKE_SYSROOT:[A-Z]*=//p' "$build/CMakeCache.txt")
}

# Prints the loader and the shared libraries of a program, or what a file in sysroot asks for itself:
# ldd is for this machine's own. A static program has none, and ldd fails.
libraries_of()
{
	local name

	if [[ -z $sysroot ]]; then
		{ ldd "$1" 2>/dev/null || true; } | awk '/=> \// { print $3 } /^[ \t]*\// { print $1 }'
		return
	fi
	readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r name; do
		find "$sysroot"/{,usr/}lib/*-linux-gnu -maxdepth 1 -name "$name"
	done
}

# The libraries lie flat in /lib, where init lets the loader look.
add_libraries_of()
{
	local library

	libraries_of "$1" | while read -r library; do
		[[ ! -e $work/root/lib/${library##*/} ]] || continue
		install -m 755 -t "$work/root/lib" "$library"
		[[ -z $sysroot ]] || add_libraries_of "$library"
	done
}

# add_program PATH [TO]
add_program()
{
	local path=$1 to=${2-/bin} loader

	install -D -m 755 -t "$work/root$to" "$path"
	loader=$(readelf -l "$path" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
	[[ -z $loader ]] || install -D -m 755 "$sysroot$loader" "$work/root$loader"
	add_libraries_of "$path"
}

# What every machine has: the daemon, the command, a shell.
make_root()
{
	local root=$work/root

	mkdir -p "$root"/{bin,dev,etc,lib,proc,run,sys,tmp}
	echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	install -m 755 "$(busybox_of_build)" "$root/bin/busybox"
	add_program "$(program lifetraced)"
	add_program "$(program lifetrace)"
	install -m 755 "$guest_here/init" "$root/init"
}

pack_root()
{
	(cd "$work/root" && find . | cpio --quiet -o -H newc) >"$work/initramfs"
}

# Prints the shell of the machine.
busybox_of_build()
{
	if [[ -n $sysroot ]]; then
		echo "$sysroot/bin/busybox"
	else
		type -P busybox || true
	fi
}

need_qemu()
{
	local tool

	look_at_build
	for tool in "qemu-system-${machines[$arch]%% *}" "$(busybox_of_build)" cpio; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

# Sets image to that of a kernel; where it cannot be had, this is the end.
fetch_kernel()
{
	local status=0

	image=$("$guest_here/fetch-kernel" "$1" "$arch" 2>"$work/fetch") || status=$?
	[[ $status -ne 77 ]] || skip "$(cat "$work/fetch")"
	[[ $status -eq 0 ]] || { cat "$work/fetch" >&2; exit "$status"; }
}

# boot COMMAND…: runs it as init's on the image, its console on standard output; what it writes to
# /dev/ttyS1 (amd64 alone has it) is in $work/out. The clock is nobody's, so that nothing that is kept
# says when it was made.
boot()
{
	local -a qemu

	read -ra qemu <<<"${machines[$arch]}"
	timeout --foreground "$guest_limit_s" "qemu-system-${qemu[0]}" "${qemu[@]:1}" \
		-accel tcg,thread=multi -smp 2 -m 768 -nodefaults -no-user-config -no-reboot \
		-display none -serial stdio -serial "file:$work/out" -rtc base=2024-01-01T00:00:00 \
		-kernel "$image" -initrd "$work/initramfs" \
		-append "console=${consoles[$arch]} quiet panic=-1 -- $*" </dev/null 2>&1 | tr -d '\r'
}
