# SPDX-License-Identifier: GPL-2.0
# bash's completion for vkick(1): subcommands, options, the keys of devices, devices of a running VM.

# What may follow the last comma of a device's KEY=VALUE list; of disks, network devices, consoles, their ports, and generators.
_vkick_keys()
{
	local done=${cur%"${cur##*,}"} last=${cur##*,} keys="datapath= notify= packed= indirect= event-idx= in-order= queue-size="
	[ "$1" != --port ] || keys="name= datapath="
	[[ $1 != --console && $1 != --port ]] || keys+=" pty off file= socket="
	[ "$1" != --console ] || keys+=" stdio poll="
	[ "$1" != --net ] || keys+=" user tap= fd= socket= tcp= udp= mac= mtu= poll= queues="
	[ "$1" != --disk ] || keys+=" path= readonly= direct= serial= block-size= cache= queues= iothreads= poll= pin="
	case $last in
	path=* | file=* | socket=*) mapfile -t COMPREPLY < <(compgen -f -P "$done${last%%=*}=" -- "${last#*=}") ;;
	name=*) ;;
	tap=*) mapfile -t COMPREPLY < <(compgen -P "${done}tap=" -W "$(ls /sys/class/net)" -- "${last#*=}") ;;
	datapath=*) mapfile -t COMPREPLY < <(compgen -P "${done}datapath=" -W "kernel user auto$([ "$1" != --net ] || echo " vhost")" -- "${last#*=}") ;;
	notify=*) mapfile -t COMPREPLY < <(compgen -P "${done}notify=" -W "mmio pio auto" -- "${last#*=}") ;;
	*=*) mapfile -t COMPREPLY < <(compgen -P "$done${last%%=*}=" -W "on off" -- "${last#*=}") ;;
	*) mapfile -t COMPREPLY < <(compgen -P "$done" -W "$keys" -- "$last") ;;
	esac
	compopt -o nospace
}

# The devices of the VM behind a socket, by their names.
_vkick_devices() { vkick ctl "$1" status 2>/dev/null | grep -o '"name":"[^"]*"' | cut -d '"' -f 4; }

_vkick_ctl()
{
	case $COMP_CWORD in
	2) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	3) mapfile -t COMPREPLY < <(compgen -W "status stats pause resume shutdown reset resize link switch console quit" -- "$cur") ;;
	4)
		case ${COMP_WORDS[3]} in
		resize | link | switch) mapfile -t COMPREPLY < <(compgen -W "$(_vkick_devices "${COMP_WORDS[2]}")" -- "$cur") ;;
		esac
		;;
	5)
		case ${COMP_WORDS[3]} in
		link) mapfile -t COMPREPLY < <(compgen -W "up down" -- "$cur") ;;
		switch) mapfile -t COMPREPLY < <(compgen -W "kernel user vhost" -- "$cur") ;;
		esac
		;;
	esac
}

_vkick_run()
{
	case $1 in
	-k | --kernel | -i | --initrd | --ctl | --stats) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	--disk | --net | --console | --port | --rng) _vkick_keys "$1" ;;
	--serial) mapfile -t COMPREPLY < <(compgen -W "stdio off file=" -- "$cur") ;;
	--on-reset) mapfile -t COMPREPLY < <(compgen -W "exit reboot" -- "$cur") ;;
	--vfio) mapfile -t COMPREPLY < <(compgen -W "$(ls /sys/bus/pci/devices)" -- "$cur") ;;
	--hugepages) mapfile -t COMPREPLY < <(compgen -W "2M 1G off" -- "$cur") ;;
	--sandbox) mapfile -t COMPREPLY < <(compgen -W "on off" -- "$cur") ;;
	--user) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
	--prefault) mapfile -t COMPREPLY < <(compgen -W "on off" -- "$cur") ;;
	*)
		case $cur in
		@*) mapfile -t COMPREPLY < <(compgen -f -P @ -- "${cur#@}") ;;
		*) mapfile -t COMPREPLY < <(compgen -W "--kernel --initrd --cmdline --cpus --memory --hugepages --prefault --disk --net --console --port --rng --vfio
			--serial --ctl --on-reset --stats --sandbox --user --help" -- "$cur") ;;
		esac
		;;
	esac
}

# readline takes = for the end of a word; the line, to the cursor, has the words as the program will see them.
_vkick()
{
	local line=${COMP_LINE:0:COMP_POINT} cur words word
	read -r -a words <<<"$line"
	[[ $line != *' ' ]] || words+=('')
	cur=${words[-1]} word=${words[-2]}
	COMP_WORDS=("${words[@]}") COMP_CWORD=$((${#words[@]} - 1)) COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "run ctl top vfio --help --version" -- "$cur")
	elif [ "${words[1]}" = ctl ]; then
		_vkick_ctl
	elif [ "${words[1]}" = top ]; then
		mapfile -t COMPREPLY < <(compgen -f -W "-d -n" -- "$cur")
	elif [ "${words[1]}" = vfio ]; then
		case $COMP_CWORD in
		2) mapfile -t COMPREPLY < <(compgen -W "list bind unbind" -- "$cur") ;;
		*) mapfile -t COMPREPLY < <(compgen -W "--yes $(ls /sys/bus/pci/devices)" -- "$cur") ;;
		esac
	elif [ "${words[1]}" = run ]; then
		_vkick_run "$word"
	fi
	# What readline has split off already is not to come again.
	local before=${cur%"${cur##*=}"}
	[[ $COMP_WORDBREAKS != *=* || $cur != *=* ]] || COMPREPLY=("${COMPREPLY[@]#"$before"}")
}
complete -F _vkick vkick
