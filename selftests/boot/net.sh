# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
# What tests of a guest's NIC share: a tap, and traffic of all kinds between it and the guest that goes by the name of vm.
#
# in: lib.sh, sourced before; FILE_MIB  how large the files are (default: 4)
# out: functions; $tap, with $host on this side and $net.2 in the guest, whose NIC has the address $mac

# shellcheck disable=SC2034,SC2154 # $mac is for the caller, $tmp and $line from lib.sh

file_mib=${FILE_MIB:-4}
tap=vk0 host=10.77.0.1 net=10.77.0 port=8077 mac=52:54:00:00:77:02 guest_url=http://$net.2:$port

net_clean_up()
{
	vm_kill
	[ -z "${httpd:-}" ] || kill "$httpd" 2>/dev/null
	ip link del $tap 2>/dev/null
	rm -rf "$tmp"
}

# tap_is_there [multi_queue]: with $tap_mtu, a tap of its own for each guest, and a server of files on this side.
tap_is_there()
{
	modprobe -qa tun
	ip link del $tap 2>/dev/null
	ip tuntap add $tap mode tap "$@" && ip link set $tap mtu "${tap_mtu:-1500}" && serve_on $tap
}

# serve_on DEV: this side's address, and a server of files.
serve_on()
{
	ip addr add $host/24 dev "$1" && ip link set "$1" up && serve_files $host
}

# serve_files ADDRESS
serve_files()
{
	mkdir -p "$tmp/www"
	[ -e "$tmp/www/file" ] || head -c "${file_mib}M" /dev/urandom >"$tmp/www/file"
	[ -z "${httpd:-}" ] || kill "$httpd" 2>/dev/null
	busybox httpd -f -p "$1:$port" -h "$tmp/www" &
	httpd=$!
}

# An interface that has just been found may still have to be made.
guest_has_address()
{
	vm "n=0; until ip addr add $net.2/24 dev eth0 2>/tmp/ip; do n=\$((n + 1)); [ \$n -lt 1000 ] || { cat /tmp/ip; exit 1; }; usleep 20000; done; ip link set eth0 up"
}

driver_unbinds_and_binds()
{
	vm 'cd /sys/bus/virtio/drivers/virtio_net && d=$(basename $(readlink /sys/class/net/eth0/device)) && echo $d >unbind && echo $d >bind'
}

# Its rings are reset, and set up as new ones.
driver_starts_anew() { driver_unbinds_and_binds && guest_has_address; }

# Of all sizes that go in one packet, and some that take several. The first ones are lost where the carrier has just come: Linux takes up to a
# second to make use of it.
pings()
{
	vm "n=0; until ping -q -c 1 -W 1 $host >/tmp/ping; do n=\$((n + 1)); [ \$n -lt 30 ] || { cat /tmp/ping; exit 1; }; done" &&
		vm "for s in 0 1 40 64 100 1000 1471 1472 1473 4000 9000; do ping -q -c 1 -s \$s -W 20 $host >/tmp/ping || { cat /tmp/ping; exit 1; }; done"
}

# The guest has the file of ours.
file_comes()
{
	local sum
	sum=$(md5sum <"$tmp/www/file")
	vm_says '????????????????????????????????  -' "wget -q -O - http://$host:$port/file | md5sum" || return
	[ "$line" = "$sum" ] || { say "the guest got $line, not $sum"; return 1; }
}

# guest_serves: a file of its own.
guest_serves()
{
	vm "mkdir -p /tmp/www && head -c $((file_mib << 20)) /dev/urandom >/tmp/www/file && { pidof httpd >/dev/null || httpd -p $port -h /tmp/www; }"
}

# We have the guest's.
file_goes()
{
	local got
	guest_serves || return
	got=$(timeout "$SILENCE_SECONDS" busybox wget -q -O - "$guest_url/file" | md5sum)
	vm_says '????????????????????????????????  -' 'md5sum </tmp/www/file' || return
	[ "$line" = "$got" ] || { say "the guest sent $got, not $line"; return 1; }
}

files_arrive() { file_comes && file_goes; }
