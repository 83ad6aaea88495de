# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What benchmarks of guests share: the guests of several servers, which run at a time and wait; what the host's counters say of one.
#
# in: VKICK, GUEST_KERNEL (a bzImage, with vmlinux beside it), GUEST_INITRD; a function start SERVER, which calls guest_start; $cpus, how
#     many vCPUs guests have. out: functions, $tmp, $retries; sourcing it sets what is to be cleaned up
#
# The guests of all servers run at a time and wait; a cell runs on one after the other, so that what slows the machine down slows all.

# shellcheck disable=SC2034,SC2154 # $command is for the caller, $cpus from it

: "${VKICK:?}" "${GUEST_KERNEL:?}" "${GUEST_INITRD:?}"
tmp=$(mktemp -d)
# A guest that is emulated twice starts slowly.
SILENCE_SECONDS=${SILENCE_SECONDS:-60}
# shellcheck source=../lab/console.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/console.sh"
# shellcheck source=cpus.sh
. "$(dirname "${BASH_SOURCE[0]}")/cpus.sh"
vcpu_cpu=$(allowed_cpu 0) server_cpu=$(allowed_cpu 1)
declare -A retries threads now was
mkfifo "$tmp/never"
exec {never}<>"$tmp/never"

say() { echo "bench/${0##*/}: $*" >&2; }
# Nothing ever comes through this pipe: to wait without a process.
pause() { read -r -t "$1" <&"$never" || true; }

# More to clean up is in clean_up_more, if the benchmark has it.
clean_up()
{
	local name
	for name in "${!console_pid[@]}"; do console_kill "$name"; done
	! declare -F clean_up_more >/dev/null || clean_up_more
	rm -rf "$tmp"
}
trap clean_up EXIT

guest_cmdline='console=ttyS0 quiet panic=-1 vkick.run=commands'

# vkick_command SERVER, qemu_command: $command, a VMM with such a guest, to which devices are added.
vkick_command()
{
	command=("$VKICK" run -k "$GUEST_KERNEL" -i "$GUEST_INITRD" -m 256M -c "$cpus" -p "$guest_cmdline" --ctl "$tmp/$1.ctl")
}

qemu_command()
{
	# shellcheck disable=SC2054 # QEMU's own commas
	command=(qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -nic none -m 256 -machine q35
		-accel kvm -cpu host -smp "$cpus" -name bench,debug-threads=on -serial stdio
		-kernel "${GUEST_KERNEL%bzImage}vmlinux" -initrd "$GUEST_INITRD" -append "$guest_cmdline")
}

# guest_start SERVER: $command, until its guest waits for commands. Return: 1 if it does not after three attempts
guest_start()
{
	local server=$1 try before thread
	for try in 1 2 3; do
		before=" $(kernel_threads) "
		console_start "$server" "${command[@]}"
		if console_ready "$server"; then
			threads[$server]=
			for thread in $(kernel_threads); do
				[[ $before == *" $thread "* ]] || threads[$server]+=" $thread"
			done
			pin "$server"
			return
		fi
		say "$server: the guest does not come up; its last lines:"
		tail -n 3 "$tmp/$server.console" "$tmp/$server.err" >&2
		console_kill "$server"
		retries[$server]=$((${retries[$server]:-0} + 1))
	done
	return 1
}

# Workers are threads of the VMM's process; on kernels without vhost tasks (6.1), kernel threads, known by their names.
kernel_threads()
{
	local comm task found=()
	for task in /proc/[0-9]*; do
		read -r comm 2>/dev/null <"$task/comm" && [[ $comm == vkick-* || $comm == vhost-* ]] && found+=("$task")
	done
	echo "${found[*]}"
}

# guest_end SERVER
guest_end() { console_end "$1" && [ "$status" = 0 ] || say "$1: ended with status $status"; }

# One vCPU has a CPU, and all that serves it another. Left to the scheduler they share one now and then.
pin()
{
	local task
	[ "$cpus" = 1 ] || return 0
	for task in /proc/"${console_pid[$1]}"/task/* ${threads[$1]:-}; do
		if is_vcpu "$task"; then
			taskset -p -c "$vcpu_cpu" "${task##*/}" >/dev/null 2>&1
		else
			taskset -p -c "$server_cpu" "${task##*/}" >/dev/null 2>&1
		fi
	done
	return 0	# a thread may have ended meanwhile
}

is_vcpu() { local comm; read -r comm 2>/dev/null <"$1/comm" && [[ $comm == vkick-vcpu* || $comm == CPU\ */KVM ]]; }

# run_cell SERVER CMD...: takes a figure; if that fails, again with a new guest, twice.
run_cell()
{
	local server=$1 try
	shift
	for try in 1 2 3; do
		"$@" && return
		[ -n "${console_pid[$server]:-}" ] && [ $try -lt 3 ] || { say "$server: $* failed"; exit 1; }
		say "$server: $* failed, again with a new guest; its last lines:"
		tail -n 3 "$tmp/$server.console" "$tmp/$server.err" >&2
		console_kill "$server"
		retries[$server]=$((${retries[$server]:-0} + 1))
		start "$server" || exit 1
	done
}

# vkick_counts SERVER: "requests kicks calls" of all its queues
vkick_counts()
{
	"$VKICK" ctl "$tmp/$1.ctl" stats |
		jq -r '[.devices[].queues[]] | "\([.[].requests] | add) \([.[].kicks] | add) \([.[].calls] | add)"'
}

count_irqs="/%s/ { for (i = 2; \$i ~ /^[0-9]+\$/; i++) n += \$i } END { print \"irqs\", n + 0 }"

# guest_irqs SERVER PATTERN: $irqs, interrupts in the guest on lines that match
guest_irqs()
{
	# shellcheck disable=SC2059 # of our own
	console_send "$1" "awk '$(printf "$count_irqs" "$2")' /proc/interrupts"
	console_wait "$1" 'irqs *' && irqs=${line#irqs } && console_wait "$1" 'vkick-guest: status 0'
}

# snapshot SERVER: reads the counters into $now, without a process. kicks: writes of the guest to I/O ports, where its doorbells are
snapshot()
{
	local pid=${console_pid[$1]:-} word value rest idle iowait task vcpu=0 other=0 ns exits=0 kicks=0 n file
	now=([us]=${EPOCHREALTIME/[.,]/})
	while read -r word value rest; do
		case $word in
		cpu)
			read -r _ _ _ idle iowait _ <<<"$value $rest"
			now[idle_us]=$(((idle + iowait) * 10000))
			;;
		ctxt) now[switches]=$value ;;
		esac
	done </proc/stat
	[ -n "$pid" ] || return 0
	for task in /proc/"$pid"/task/* ${threads[$1]:-}; do
		read -r ns rest 2>/dev/null <"$task/schedstat" || continue
		if is_vcpu "$task"; then
			vcpu=$((vcpu + ns / 1000))
		else
			other=$((other + ns / 1000))
		fi
	done
	for file in /sys/kernel/debug/kvm/"$pid"-*; do
		read -r n 2>/dev/null <"$file/exits" && exits=$((exits + n))
		read -r n 2>/dev/null <"$file/io_exits" && kicks=$((kicks + n))
	done
	now[vcpu_us]=$vcpu now[server_us]=$other now[exits]=$exits now[kicks]=$kicks
}

# window_begins SERVER: $was; window_ends SERVER: $now
window_begins()
{
	local key
	snapshot "$1"
	was=()
	for key in "${!now[@]}"; do was[$key]=${now[$key]}; done
}
window_ends() { snapshot "$1"; }

# emit UNITS PREFIX [MORE]: a result's line; UNITS are what was done between $was and $now, an expression of us, the window's
# length, and each counter is given for one of them.
emit()
{
	awk -v prefix="$2" -v us=$((now[us] - was[us])) -v cpus="$(nproc)" -v more="${3:-}" \
		-v idle=$((now[idle_us] - was[idle_us])) -v switches=$((now[switches] - was[switches])) \
		-v vcpu=$((${now[vcpu_us]:-0} - ${was[vcpu_us]:-0})) -v server=$((${now[server_us]:-0} - ${was[server_us]:-0})) \
		-v exits=$((${now[exits]:-0} - ${was[exits]:-0})) 'BEGIN {
			n = '"$1"'
			if (n <= 0) exit 1
			printf "%s cpu_us=%.2f vcpu_us=%.2f server_us=%.2f exits=%.3f switches=%.3f%s\n", prefix,
				(us * cpus - idle) / n, vcpu / n, server / n, exits / n, switches / n, more
		}'
}
