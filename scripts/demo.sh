#!/usr/bin/env bash
# From one file to packets on this machine: raises a lab of three sites, applies
# inventories/demo.yaml to it, and adds a subnet while pings run. `make demo` calls it with the
# binary in $WGFLEET. Ends with 0 only if every step worked and no packet was lost.
set -euo pipefail
cd "$(dirname "$0")/.."
exec 2>&1 </dev/null
repository=$PWD
binary=$(realpath "${WGFLEET:?names the wgfleet binary; run make demo}")

work=$(mktemp -d)
# Nothing of the user's is read or written: not the identity of a vault, not what is remembered of one, not ~/.ssh/config.
export XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/state
unset WGFLEET_IDENTITY WGFLEET_SSH_CONFIG WGFLEET_BINARIES
mkdir "$work/bin" "$work/demo"
ln -s "$binary" "$work/bin/wgfleet"
PATH=$work/bin:$PATH
pings=()

clean_up() {
	local status=$? pid
	trap - EXIT
	for pid in "${pings[@]}"; do
		kill -INT "$pid" 2>/dev/null || :
	done
	if [ -d /run/wgfleet-lab/demo ]; then
		show wgfleet lab down
		wgfleet lab down --name demo || status=1
	fi
	rm -rf "$work"
	if [ $status != 0 ]; then
		printf '\nThe demo has failed (exit %d); what it made is gone.\n' "$status"
	fi
	exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bold="" plain=""
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' plain=$'\e[0m'
fi
title() { printf '\n%s== %s%s\n' "$bold" "$1" "$plain"; }
show() {
	local word line=""
	for word in "$@"; do
		case $word in
		*[\ \|]*) line="$line '$word'" ;;
		*) line="$line $word" ;;
		esac
	done
	printf '\n%s$%s%s\n' "$bold" "$line" "$plain"
}
run() {
	show "$@"
	"$@"
}
fail() {
	printf 'demo: %s\n' "$1" >&2
	exit 1
}

# The address of a LAN client, as the lab says.
address() { wgfleet lab status | awk -v node="$1" '$1 == node { print $NF }'; }

# FROM TO: waits until a first packet has come back, which takes a handshake.
wait_for() {
	local tries=0
	until wgfleet lab exec "$1" -- ping -c 1 -W 1 "$2" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 30 ] || fail "no answer from $2 to $1 within 30 s"
		sleep 0.2
	done
}

# FROM TO NAME: 100 pings a second for 10 seconds; the last ones are waited for.
begin_ping() {
	wgfleet lab exec "$1" -- ping -n -q -i 0.01 -c 1000 -W 2 "$2" >"$work/$3" &
	pings+=($!)
}

# NAME: prints the packets of a ping, and adds what was lost to $lost.
count() {
	local sent received
	read -r sent received < <(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$work/$1") ||
		fail "the ping $1 has said nothing: $(cat "$work/$1")"
	printf '%-34s %5d sent, %5d answered, %d lost\n' "$1" "$sent" "$received" $((sent - received))
	lost=$((lost + sent - received))
	total=$((total + sent))
}

# A demo that was killed has left its lab.
[ ! -d /run/wgfleet-lab/demo ] || wgfleet lab down --name demo --quiet
cp "$repository/inventories/demo.yaml" "$work/demo/fleet.yaml"
cd "$work/demo"

title "The file: inventories/demo.yaml"
show cat fleet.yaml
sed -n '/^networks/,$p' fleet.yaml

title "Is it right? No host is touched, no key is needed"
run wgfleet check

title "Three sites on this machine: namespaces, LANs, an sshd for each host, NAT before the branch"
show wgfleet lab up
config=$(wgfleet lab up --quiet)
export WGFLEET_SSH_CONFIG=$config
run wgfleet lab status

title "Keys: one small age file each; the identity that opens them stays outside the repository"
run wgfleet vault init --fleet demo
run wgfleet vault keygen

title "What would change? All hosts are read over ssh, in one round trip each"
run wgfleet plan --out fleet.plan

title "Change it. Each host rolls back by itself unless a new connection confirms"
run wgfleet apply --yes fleet.plan
run wgfleet plan

title "Packets from LAN to LAN, through the tunnels"
paris4=$(address lan-paris-1) paris6=$(address lan-paris-2)
frankfurt4=$(address lan-frankfurt-1) frankfurt6=$(address lan-frankfurt-2)
branch4=$(address lan-branch-1)
for node in "$paris4" "$paris6" "$frankfurt4" "$frankfurt6" "$branch4"; do
	[ -n "$node" ] || fail "the lab lacks a LAN"
done
wait_for lan-paris-1 "${frankfurt4%/*}"
wait_for lan-branch-1 "${paris4%/*}"
wait_for lan-branch-1 "${frankfurt4%/*}"
run wgfleet lab exec lan-paris-1 -- ping -c 3 -i 0.2 "${frankfurt4%/*}"
run wgfleet lab exec lan-paris-2 -- ping -c 3 -i 0.2 "${frankfurt6%/*}"
run wgfleet lab exec lan-branch-1 -- ping -c 3 -i 0.2 "${paris4%/*}"
run wgfleet status

title "Frankfurt gets another LAN: one line of the file"
run sed -i 's|192.168.2.0/24|192.168.2.0/24, 192.168.20.0/24|' fleet.yaml
run wgfleet lab exec frankfurt-gw -- ip address add 192.168.20.1/24 dev lo
run wgfleet plan --out fleet.plan

title "Change it while 100 pings a second run on three paths"
begin_ping lan-paris-1 "${frankfurt4%/*}" "paris to frankfurt, IPv4"
begin_ping lan-paris-2 "${frankfurt6%/*}" "paris to frankfurt, IPv6"
begin_ping lan-branch-1 "${paris4%/*}" "branch behind NAT to paris, IPv4"
sleep 1
run wgfleet apply --yes fleet.plan
for pid in "${pings[@]}"; do
	kill -0 "$pid" 2>/dev/null || fail "the pings ended before the change did"
done
wait "${pings[@]}" || :
pings=()
run wgfleet lab exec lan-paris-1 -- ping -c 3 -i 0.2 192.168.20.1

title "Lost while the fleet changed"
lost=0
total=0
count "paris to frankfurt, IPv4"
count "paris to frankfurt, IPv6"
count "branch behind NAT to paris, IPv4"
printf '\n%s%d of %d packets were lost.%s\n' "$bold" $lost $total "$plain"
[ $lost = 0 ]
