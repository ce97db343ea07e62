# shellcheck shell=bash disable=SC2154 # what it asks for is set by those who source it
#
# Sourced: a machine of its own around programs of a build, in QEMU without KVM (which cannot be
# counted on). Whoever sources it sets `work` (an empty directory) and `build`.

guest_limit_s=${LIFETRACE_VM_LIMIT:-600}
guest_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

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

# Prints the loader and the shared libraries of a program.
# A static program has none, and ldd fails.
libraries_of()
{
	{ ldd "$1" 2>/dev/null || true; } | awk '/=> \// { print $3 } /^[ \t]*\// { print $1 }'
}

# add_program PATH [TO]: the libraries lie flat in /lib, where init lets the loader look.
add_program()
{
	local root=$work/root path=$1 to=${2-/bin} library

	install -D -m 755 -t "$root$to" "$path"
	libraries_of "$path" | while read -r library; do
		case $library in
		*/ld-linux*) install -D -m 755 "$library" "$root$library" ;;
		*) install -m 644 "$library" "$root/lib/" ;;
		esac
	done
}

# What every machine has: the daemon, the command, a shell.
make_root()
{
	local root=$work/root

	mkdir -p "$root"/{bin,dev,etc,lib,proc,run,sys,tmp}
	echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
	echo 'root:x:0:' >"$root/etc/group"
	install -m 755 "$(command -v busybox)" "$root/bin/busybox"
	add_program "$(program lifetraced)"
	add_program "$(program lifetrace)"
	install -m 755 "$guest_here/init" "$root/init"
}

pack_root()
{
	(cd "$work/root" && find . | cpio --quiet -o -H newc) >"$work/initramfs"
}

need_qemu()
{
	local tool

	for tool in qemu-system-x86_64 busybox cpio; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

# Sets image to that of a kernel; where it cannot be had, this is the end.
fetch_kernel()
{
	local status=0

	image=$("$guest_here/fetch-kernel" "$1" 2>"$work/fetch") || status=$?
	[[ $status -ne 77 ]] || skip "$(cat "$work/fetch")"
	[[ $status -eq 0 ]] || { cat "$work/fetch" >&2; exit "$status"; }
}

# boot COMMAND…: runs it as init's on the image, its console on standard output; what it writes to
# /dev/ttyS1 is in $work/out. microvm hangs one time in three; -cpu max has what glibc's newer levels
# ask for. The clock is nobody's, so that nothing that is kept says when it was made.
boot()
{
	timeout --foreground "$guest_limit_s" qemu-system-x86_64 -M q35 -cpu max \
		-accel tcg,thread=multi -smp 2 -m 768 -nodefaults -no-user-config -no-reboot \
		-display none -serial stdio -serial "file:$work/out" -rtc base=2024-01-01T00:00:00 \
		-kernel "$image" -initrd "$work/initramfs" \
		-append "console=ttyS0 quiet panic=-1 -- $*" </dev/null 2>&1 | tr -d '\r'
}
