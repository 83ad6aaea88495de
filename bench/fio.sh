# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What benchmarks of disks share: a cell of fio's, in a guest or in L1, which is server `host`.
#
# in: guests.sh; $seconds, how long fio runs. out: fio_cell, which prints a result's line: IOPS, KiB/s; per I/O: L1's CPU time, all of it
#     and that of the vCPUs and of the other threads of the VMM, exits, context switches, interrupts in the guest; for virtio disks of vkick's also
#     kicks and calls, by the datapath's count; for those of $ports_of kicks, by the guest's writes to I/O ports, where its doorbells are
#
# Counters are read over a window in the midst of fio's time, and divided by the I/Os that fio's rate gives for it.

# shellcheck disable=SC2154 # $seconds and more are the caller's

# host_irqs PATTERN: $irqs, interrupts of L1's
host_irqs()
{
	# shellcheck disable=SC2059
	read -r _ irqs < <(awk "$(printf "$count_irqs" "$1")" /proc/interrupts)
}

# per_io A B: "key=" figures of B - A for each I/O of all of fio's time, which has whole I/Os: its rate times its time.
per_io() { awk -v n=$(($2 - $1)) -v ios=$((iops * $3)) 'BEGIN { printf "%.3f", n / ios }'; }

# fio_cell PREFIX SERVER DISK IRQS RW BLOCK DEPTH [FIO-OPTION...]: DISK as the server's guest calls it, or for host a path;
# IRQS: which interrupts are its. $host_irqs_of, if it is not empty: which of L1's are its or its VMM's.
fio_cell()
{
	local prefix=$1 server=$2 disk=$3 pattern=$4 rw=$5 block=$6 depth=$7 more='' counts='' iops kib irqs line a host_a ran=$seconds
	shift 7
	if [ -n "${host_irqs_of:-}" ]; then
		host_irqs "$host_irqs_of"
		host_a=$irqs
	fi
	if [ "$server" = host ]; then
		ran=$((seconds + 1))
		host_fio "$disk" "$rw" "$block" "$depth" "$@" || return
	else
		guest_irqs "$server" "$pattern" || return
		a=$irqs
		[[ ${counts_of:-} != *" $server "* ]] || counts=$(vkick_counts "$server")
		console_send "$server" "blk bench $disk $rw $block $depth $cpus $seconds $*"
		console_wait "$server" 'vkick-guest: begun' || return
		take_window "$server"
		console_wait "$server" 'vkick-guest: bench *' || return
		read -r iops kib _ <<<"${line#*bench }"
		iops=${iops#*=} kib=${kib#*=}
		console_wait "$server" 'vkick-guest: status 0' && guest_irqs "$server" "$pattern" || return
		more=" irqs=$(per_io "$a" "$irqs" "$ran")"
		[ -z "$counts" ] || more+=$(echo "$counts $(vkick_counts "$server")" |
			awk '{ n = $4 - $1; printf " kicks=%.3f calls=%.3f", ($5 - $2) / n, ($6 - $3) / n }')
	fi
	if [ -n "${host_irqs_of:-}" ]; then
		host_irqs "$host_irqs_of"
		more+=" host_irqs=$(per_io "$host_a" "$irqs" "$ran")"
	fi
	[[ ${ports_of:-} != *" $server "* ]] || more+=$(port_kicks)
	emit "$iops * us / 1e6" "$prefix iops=$iops kib_per_s=$kib" "$more retries=${retries[$server]:-0}"
}

# Between $was and $now, as emit() has the other counts.
port_kicks()
{
	awk -v n=$((now[kicks] - was[kicks])) -v us=$((now[us] - was[us])) -v iops="$iops" 'BEGIN { printf " kicks=%.3f", n / (iops * us / 1e6) }'
}

take_window()
{
	window_begins "$1"
	pause "$(awk -v s="$seconds" 'BEGIN { print s - 0.3 }')"
	window_ends "$1"
}

# fio's time is long enough for its own start, which takes a second where it loads its libraries.
host_fio()
{
	local pinned=() fio
	[ "$cpus" != 1 ] || pinned=(taskset -c "$vcpu_cpu")
	"${pinned[@]}" fio --output-format=terse --terse-version=3 --name=bench --filename="$1" --rw="$2" --bs="$3" --iodepth="$4" \
		--numjobs="$cpus" --group_reporting --ioengine=io_uring --fixedbufs --registerfiles \
		--direct=$((${#direct} == 2)) --norandommap --randrepeat=0 --gtod_reduce=1 --time_based \
		--runtime=$((seconds + 1)) "${@:5}" >"$tmp/fio" 2>&1 &
	fio=$!
	pause 1
	take_window host
	wait $fio || { cat "$tmp/fio" >&2; return 1; }
	read -r iops kib < <(awk -F';' '/^3;/ { print $8 + $49, $7 + $48 }' "$tmp/fio")
}
