# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Which CPUs guests, and what serves them, are pinned to: in the lab not the first, see lab/README.md.

# allowed_cpu N: the Nth CPU, from 0, of those that this process may run on.
allowed_cpu()
{
	sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status | tr , '\n' |
		awk -F- -v n="$1" '{ for (c = $1; c <= $NF; c++) if (!n--) print c }'
}
