# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# Guests that do on their console what they are told: the other end of lab/guest/commands. Several may run at a time.
#
# in: $tmp, a directory. out: functions. NAME stands for a guest; its console goes to $tmp/NAME.console, without carriage
# returns, its stderr to $tmp/NAME.err. All waiting is for a line, for SILENCE_SECONDS at most.

# shellcheck disable=SC2034,SC2154 # $status is for the caller, $tmp from it

declare -A console_in console_out console_pid
SILENCE_SECONDS=${SILENCE_SECONDS:-60}

# console_start NAME CMD...: runs the VMM with the guest's console on its stdin and stdout.
console_start()
{
	local name=$1 in out
	shift
	rm -f "$tmp/$name.keys"
	mkfifo "$tmp/$name.keys"
	: >"$tmp/$name.console"
	# Opened for both, so that this waits for nobody.
	exec {in}<>"$tmp/$name.keys"
	exec {out}< <(exec "$@" <"$tmp/$name.keys" 2>"$tmp/$name.err")
	console_pid[$name]=$!
	console_in[$name]=$in
	console_out[$name]=$out
}

# console_wait NAME PATTERN: reads on to a line that matches PATTERN, a glob, which is then $line.
# Return: 0; 1 if no line came for so long; 2 if the VMM ended
console_wait()
{
	local got
	while :; do
		IFS= read -r -t "$SILENCE_SECONDS" -u "${console_out[$1]}" line
		got=$?
		[ $got -le 128 ] || return 1
		[ $got = 0 ] || return 2
		line=${line%$'\r'}
		printf '%s\n' "$line" >>"$tmp/$1.console"
		# shellcheck disable=SC2254
		case $line in $2) return 0 ;; esac
	done
}

# console_ready NAME: the guest waits for commands.
console_ready() { console_wait "$1" 'vkick-guest: ready'; }

# console_send NAME CMD: begins a command; the next console_wait sees what it says.
console_send() { printf '%s\n' "$2" >&"${console_in[$1]}"; }

# console_do NAME CMD: runs a command in the guest. Return: its status, or 255 if the guest was silent or ended
console_do()
{
	console_send "$1" "$2" && console_wait "$1" 'vkick-guest: status *' || return 255
	return "${line##* }"
}

# console_finish NAME: reads on to the VMM's end; $status. Return: 1 if it hung, and was killed
console_finish()
{
	local got=0
	while [ $got = 0 ]; do
		console_wait "$1" '*'
		got=$?
	done
	[ $got = 2 ] || kill -KILL "${console_pid[$1]}"
	console_close "$1"
	[ $got = 2 ]
}

# console_end NAME: the guest turns itself off; as console_finish.
console_end()
{
	console_send "$1" end
	console_finish "$1"
}

# console_kill NAME
console_kill()
{
	kill -KILL "${console_pid[$1]}" 2>/dev/null
	console_close "$1"
}

console_close()
{
	local in=${console_in[$1]} out=${console_out[$1]}
	wait "${console_pid[$1]}" 2>/dev/null
	status=$?
	exec {in}>&- {out}<&-
	unset "console_in[$1]" "console_out[$1]" "console_pid[$1]"
}
