# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# A terminal, tmux's, with a program in it: what a user would see and type.
#
# in: $tmp, a directory; SILENCE_SECONDS. out: functions. All waiting is for output, for SILENCE_SECONDS at most.

# shellcheck disable=SC2154 # $tmp is the caller's
screen() { tmux -f /dev/null -S "$tmp/tmux" "$@"; }

# screen_start COLUMNS ROWS COMMAND: a shell's. What it says is kept in $tmp/screen.console as well, for who looks for complaints.
screen_start()
{
	screen_end
	rm -f "$tmp/screen" "$tmp/screen.status"
	mkfifo "$tmp/screen"
	exec {screen_out}<>"$tmp/screen"
	screen new-session -d -x "$1" -y "$2" "($3); echo \$? >'$tmp/screen.status'" \; set -g remain-on-exit on \; pipe-pane -O "exec tee -a '$tmp/screen.console' >'$tmp/screen'"
}

screen_end() { ! [ -S "$tmp/tmux" ] || screen kill-server 2>/dev/null; }

# screen_type KEY...: as tmux names them; text is its own name.
screen_type() { screen send-keys "$@"; }
screen_enter() { screen send-keys -l "$1" && screen send-keys Enter; }

screen_size() { screen resize-window -x "$1" -y "$2"; }

# screen_until CMD...: until it succeeds. Any output is a reason to try again; and that the program ended, which is none.
screen_until()
{
	local end=$((SECONDS + SILENCE_SECONDS))
	until "$@"; do
		IFS= read -r -t 1 -n 4096 -d '' -u "$screen_out" _
		[ $SECONDS -lt $end ] || { screen_show; return 1; }
	done
}

# screen_wait REGEX [N]: until N lines of the screen match (default: 1).
screen_wait() { screen_until screen_has "$@" || { say "no '$1' on the screen"; return 1; }; }
screen_has() { [ "$(screen capture-pane -p -J | grep -c -E "$1")" -ge "${2:-1}" ]; }

# screen_wait_end: until the command ended. Return: its status
screen_wait_end()
{
	local status
	screen_until [ -s "$tmp/screen.status" ] || { say "it does not end"; return 255; }
	status=$(<"$tmp/screen.status")
	[ "$status" = 0 ] || { screen_show; say "it ended with status $status"; }
	return "$status"
}

screen_show() { screen capture-pane -p | grep . | sed 's/^/# screen: /'; }
