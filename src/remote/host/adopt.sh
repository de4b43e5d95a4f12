# --------------------------------------------------------------------------------------- adopt
# All that an import takes over, keys included; nothing else asks for these. See src/adopt/told.rs.
adopt() {
	name='' v4='' v6=''
	read -r name </proc/sys/kernel/hostname
	read -r v4 </proc/sys/net/ipv4/ip_forward
	read -r v6 </proc/sys/net/ipv6/conf/all/forwarding
	say "hostname $name"
	say "forwards ${v4:-0} ${v6:-0}"
	for f in /etc/wireguard/*.conf; do
		[ -f "$f" ] || continue
		say "file ${f##*/}"
		awk '{ print "| " $0 }' "$f"
	done
	ip -o link show | awk '{ sub(/[@:].*/, "", $2); for (k = 4; k < NF; k++) if ($k == "mtu") print "link", $2, $(k + 1) }'
	ip -o address show | awk '$3 ~ /^inet6?$/ && $4 !~ /^fe80:/ { print "address", $2, $4 }'
	if have_any_wg; then
		say dump
		wg show all dump | awk '{ print "| " $0 }'
	fi
	say end
} 2>/dev/null
