# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What the boot tests share: TAP, and a guest that is run and watched.
#
# in: VKICK (the VMM), VKICK_KO (the module), GUEST_KERNEL, GUEST_INITRD (see lab/guest-initrd); root and a working
# /dev/kvm. out: functions; sourcing it checks these.
#
# Nothing here sleeps: the guest's console is read as it comes, with a deadline for the next line.

# A guest that says nothing for so long hangs. The longest silence is the boot: 10 to 25 s, and three times that on a busy host.
SILENCE_SECONDS=${SILENCE_SECONDS:-120}

# The same kernel where it need not unpack itself, which takes a guest that is emulated twice a fifth of its boot. As a bzImage
# it boots where that is what is tried: reset, poweroff, control, rootfs.
boot_kernel=${GUEST_KERNEL%/*}/vmlinux

# Without the warnings that this CPU has no microcode against its faults.
guest_args='console=ttyS0 loglevel=5 mitigations=off panic=-1'

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# Nothing ever comes through this pipe: to wait for a while without a process.
mkfifo "$tmp/never"
exec {never}<>"$tmp/never"

# shellcheck source=../../lab/console.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../lab/console.sh"

for variable in VKICK VKICK_KO GUEST_KERNEL GUEST_INITRD; do
	[ -n "${!variable:-}" ] || { echo "Bail out! $variable is not set"; exit 1; }
done

# As selftests/run calls a program of which it wants one test.
only=
[ "${1:-}" != -t ] || only=$2

# run_tests FUNCTION...: each is a test, or with -t FUNCTION that one alone; its lines that start with # are shown, and "SKIP reason" makes it a skip.
run_tests()
{
	local test n=0 failed=0 skip
	if [ -n "$only" ]; then
		[[ " $* " == *" $only "* ]] || { echo "Bail out! no test $only"; exit 1; }
		set -- "$only"
	fi
	echo "TAP version 13"
	echo "1..$#"
	for test; do
		n=$((n + 1))
		rm -f "$tmp/skip" "$tmp/console" "$tmp"/*.console
		if "$test" && guest_has_no_complaints; then
			skip=$(cat "$tmp/skip" 2>/dev/null)
			echo "ok $n $test${skip:+ # SKIP $skip}"
		else
			failed=1
			show_run	# before the result, as selftests/check looks for what belongs to it
			echo "not ok $n $test"
			vm_kill		# which the next one would find in its place
		fi
	done
	exit $failed
}

# Of the test's last guest. It has loglevel=5, without which Linux would keep warnings to itself.
complaints='WARNING: CPU|BUG: |Oops'
guest_has_no_complaints()
{
	! cat "$tmp/console" "$tmp"/*.console 2>/dev/null | grep -a -q -E "$complaints" || { say "the guest's kernel complained"; return 1; }
}

skip() { echo "$*" >"$tmp/skip"; }

say() { echo "# $*"; }

# await CMD...: there is nothing to wait for but that it comes true; SILENCE_SECONDS at most.
await()
{
	local end=$((SECONDS + SILENCE_SECONDS))
	until "$@" >/dev/null; do
		[ $SECONDS -lt $end ] || { say "still not: $*"; return 1; }
		read -r -t 0.02 -u "$never" || true
	done
}

# What the last guest left, for a test that failed.
show_run()
{
	cat "$tmp/err" "$tmp"/*.err 2>/dev/null | sed 's/^/# stderr: /'
	# Killed by the sandbox, for the call that is in the line.
	[ "${status:-}" != 159 ] || dmesg | grep -a 'type=1326' | tail -n 1 | sed 's/^/# audit: /'
	# A guest that panics boots again, and says little of it.
	grep -a -h -m 5 -A 12 -E "Kernel panic|$complaints" "$tmp/console" "$tmp"/*.console 2>/dev/null | tr -d '\r' | sed 's/^/# console, earlier: /'
	tail -q -n 15 "$tmp/console" "$tmp"/*.console 2>/dev/null | tr -d '\r' | sed 's/^/# console: /'
}

# need_module: the module is loaded, or the test fails.
need_module()
{
	[ -e /dev/vkick-rng ] || insmod "$VKICK_KO" || { say "insmod $VKICK_KO failed"; return 1; }
}

# watch FD: copies lines to $tmp/console. Return: 1 if none came for SILENCE_SECONDS.
watch()
{
	local line got
	: >"$tmp/console"
	while :; do
		IFS= read -r -t "$SILENCE_SECONDS" -u "$1" line
		got=$?
		[ $got -le 128 ] || return 1
		[ $got = 0 ] || return 0
		printf '%s\n' "$line" >>"$tmp/console"
	done
}

# say_threads PID FD: whether it runs, or waits for what does not come: ticks of each thread, twice.
say_threads()
{
	local n
	for n in 1 2; do
		say "ticks in user, kernel, guest: $(for t in /proc/"$1"/task/*; do
			sed -E 's/^[0-9]+ \((.*)\) (.).*/\1 \2/' "$t/stat" | tr '\n' ' '
			awk '{ sub(/.*\) /, ""); printf "%d %d %d; ", $12, $13, $41 }' "$t/stat"
		done 2>/dev/null)"
		[ $n = 2 ] || read -r -t 2 -u "$2"
	done
}

# guest 'CMDLINE' ARG...: runs a guest with these arguments of the VMM to its end.
# out: $status, the VMM's; $tmp/console, $tmp/err, $tmp/stats. Return: 1 if it hung.
guest()
{
	local cmdline=$1 fd pid
	shift
	rm -f "$tmp/stats"
	exec {fd}< <(exec "$VKICK" run -k "$boot_kernel" -i "${initrd:-$GUEST_INITRD}" -m 256M \
		-p "$guest_args $cmdline" --stats "$tmp/stats" "$@" </dev/null 2>"$tmp/err")
	pid=$!
	if watch "$fd"; then
		exec {fd}<&-
		wait "$pid"
		status=$?
		return 0
	fi
	say_threads "$pid" "$fd"
	kill -KILL "$pid"
	exec {fd}<&-
	say "no console output for $SILENCE_SECONDS s"
	status=hang
	return 1
}

# vm_start ARG...: starts a guest that does what console_do tells it (lab/console.sh), by the name of vm.
vm_start()
{
	rm -f "$tmp/stats"
	console_start vm "$VKICK" run -k "$boot_kernel" -i "${initrd:-$GUEST_INITRD}" -m 256M \
		-p "$guest_args vkick.run=commands" --stats "$tmp/stats" "$@"
	console_ready vm && return
	say "the guest does not come up"
	vm_kill
	return 1
}

vm_runs() { [ -n "${console_pid[vm]:-}" ] || { say "there is no guest"; return 1; }; }
vm_kill() { ! vm_runs >/dev/null || console_kill vm; }

# vm CMD: the guest runs it, with status 0. A guest that is silent is done with: what it says later would be taken for
# the next command's.
vm()
{
	local got
	vm_runs || return
	console_do vm "$1"
	got=$?
	[ $got = 0 ] && return
	say "status $got of, in the guest: $1"
	[ $got != 255 ] || vm_kill
	return 1
}

# vm_says PATTERN CMD: what CMD says has a line that matches PATTERN, a glob, which is then $line; its status is not looked at.
vm_says()
{
	local found=
	vm_runs || return
	console_send vm "$2"
	while console_wait vm '*'; do
		# shellcheck disable=SC2254
		case $line in
		"vkick-guest: status "*)
			line=$found
			[ -n "$found" ] || say "no line is '$1' of what the guest says to: $2"
			[ -n "$found" ]
			return
			;;
		$1) found=$line ;;
		esac
	done
	say "the guest was silent, or ended, at: $2"
	vm_kill
	return 1
}

# vm_end: the guest turns itself off, and the VMM ends with status 0.
vm_end() { vm_runs && console_end vm && expect_status 0; }

# expect_status N
expect_status() { [ "$status" = "$1" ] || { say "exit status $status, expected $1"; return 1; }; }

# expect_console PATTERN [COUNT]: so many lines match (default: at least one).
expect_console()
{
	local n
	n=$(grep -cE "$1" "$tmp/console")
	[ "$n" = "${2:-$n}" ] && [ "$n" -gt 0 ] && return
	say "$n lines of the console match: $1"
	return 1
}

# stat_of KEY: the first integer of that name in the statistics.
stat_of() { grep -oE "\"$1\":[0-9]+" "$tmp/stats" | head -n 1 | grep -oE '[0-9]+$'; }

# expect_stat KEY OP N: such as expect_stat exits_notify -eq 0
expect_stat()
{
	local value
	value=$(stat_of "$1")
	[ -n "$value" ] && test "$value" "$2" "$3" && return
	say "$1 is ${value:-missing}, expected $2 $3"
	return 1
}

# add_guest_script NAME: puts stdin into the guest as the script that vkick.run=NAME runs. Sets $initrd.
# Linux unpacks one archive after the other.
add_guest_script()
{
	local dir=$tmp/add
	mkdir -p "$dir/guest"
	cat >"$dir/guest/$1"
	chmod 755 "$dir/guest/$1"
	initrd=$tmp/initrd
	cp "$GUEST_INITRD" "$initrd"
	(cd "$dir" && find . | cpio --quiet -o -H newc -R 0:0) >>"$initrd"
}

# other_kernel NAME MODULE...: $kernel is the directory of the newest kernel of that name, as Debian's package has it; the guest finds the modules,
# with those that they need, in /mods, in order.
other_kernel()
{
	local mods=$tmp/add/mods module n=10
	kernel=$(compgen -G "${GUEST_KERNEL%/*/*}/linux-image-$1_*" | sort -V | tail -n 1)
	[ -n "$kernel" ] || { say "no linux-image-$1 beside the guest's kernel: see lab/fetch"; return 1; }
	rm -rf "$mods" && mkdir -p "$mods" || return
	while read -r module; do
		n=$((n + 1))
		case $module in
		*.xz) xz -dc "$module" >"$mods/$n.ko" ;;
		*) cp "$module" "$mods/$n.ko" ;;
		esac
	done < <(modprobe -d "$kernel" -S "$(<"$kernel/release")" --show-depends -a "${@:2}" | awk '$1 == "insmod" && !seen[$2]++ { print $2 }')
	[ $n -gt 10 ] || { say "no modules of $kernel"; return 1; }
}
