# ------------------------------------------------------------------------------------- observe
hash() { d=$(sha256sum) && d=${d%% *}; } # sets d

show_odd() { # PATH: where something else is than a file
	if [ -L "$1" ]; then d="link"
	elif [ -d "$1" ]; then d=folder
	elif [ -p "$1" ]; then d=pipe
	elif [ -S "$1" ]; then d=socket
	elif [ -e "$1" ]; then d=device
	else return 0; fi
	say "odd $d $1"
}

show_file() { # PATH: head line, then the content without secrets
	if [ ! -f "$1" ] || [ -L "$1" ]; then show_odd "$1"; return 0; fi
	# shellcheck disable=SC2046 # three words are wanted
	set -- "$1" $(stat -c '%a %u %s' "$1")
	owner=no; [ "$3" = 0 ] && owner=yes
	# None of wgfleet's own files has as much.
	d=$({ printf %s "$key"; head -c 67108864 "$1"; } | sha256sum)
	printf 'file %s %s %s %s\n' "$2" $owner "${d%% *}" "$1"
	# Settings, and whatever has the form of a key: public ones stand behind PublicKey. A line that was
	# cut through is left out, for half a key is none.
	head -c "$most" "$1" | awk -v size="$4" -v most="$most" '
	BEGIN { for (n = 0; n < 43; n++) key = key "[A-Za-z0-9+/]"; key = key "=" }
	function hide(text, word, upper) {
		if (length(text) < 20) return text
		gsub(key, word, text)
		while (match(upper = toupper(text), /AGE-(SECRET-KEY|PLUGIN)-[-A-Z0-9+._]*1[A-Z0-9]+/))
			text = substr(text, 1, RSTART - 1) word substr(text, RSTART + RLENGTH)
		return text
	}
	function show(text, name, c) {
		name = tolower(text); sub(/=.*/, "", name); gsub(/[ \t]/, "", name)
		if (name == "privatekey" || name == "presharedkey") { match(text, /=[ \t]*/); text = substr(text, 1, RSTART + RLENGTH - 1) "(hidden)" }
		c = index(text, "#")
		if (!c) c = length(text) + 1
		text = (name == "publickey" ? substr(text, 1, c - 1) : hide(substr(text, 1, c - 1), "(hidden)")) hide(substr(text, c), "(key)")
		gsub(/[[:cntrl:]]/, "?", text); print "| " text
	}
	function line(text) {
		if (inside) { if (!(c = index(text, "-----END "))) return; inside = 0; sub(/.*-----END [^-]*(-----)?/, "", text); if (text == "") return }
		if (match(text, /-----BEGIN [A-Z0-9 ]*(PRIVATE KEY|AGE ENCRYPTED)/)) {
			rest = substr(text, RSTART + 11)
			inside = !index(rest, "-----END ")
			if (inside) rest = ""; else sub(/.*-----END [^-]*(-----)?/, "", rest)
			text = substr(text, 1, RSTART - 1) (index(substr(text, 1, RSTART), "#") ? "(key)" : "(hidden)") rest
		}
		show(text)
	}
	NR > 1 { line(last) }
	{ last = $0 }
	END {
		if (size <= most && NR) line(last)
		if (size > most) print "| (the file goes on: it has " size " bytes)"
	}'
}

# A tunnel of wgfleet's own leaves a mark: its process id and its start time, which together mean one
# process. Any user can come by a process id alone, as a tunnel of 0.1.0 leaves it: nothing is run for
# that.
embedded() { # IF: sets p, and t, its start time
	p='' t=''
	read -r p t <"/run/wireguard/$1.wgfleet"
	case $p$t in *[!0-9]* | '') return 1 ;; esac
	if ! { [ -O "/proc/$p" ] && [ -O "/proc/$p/exe" ] && start_of "$p"; }; then return 1; fi
	if [ -n "$t" ]; then
		[ "$t" = "$s" ]
	else
		read -r name <"/proc/$p/comm" && [ "$name" = wgfleet ]
	fi
} 2>/dev/null

unmark() { embedded "$1" || rm -f "/run/wireguard/$1.wgfleet"; } # IF: whose tunnel may be gone

read_link() { # IF: sets kind, up and mtu
	l=$(ip -o -d link show dev "$1" 2>/dev/null) || return 1
	kind=userspace
	case $l in *' wireguard '*) kind=kernel ;; *) ! embedded "$1" || kind=embedded ;; esac
	up=no; case $l in *[\<,]UP[,\>]*) up=yes ;; esac
	mtu=${l#* mtu }; mtu=${mtu%% *}
}

# Tables that have names, as NAME=NUMBER: ip(8) prints the names.
tables() {
	cat /usr/share/iproute2/rt_tables /usr/lib/iproute2/rt_tables /etc/iproute2/rt_tables \
		/usr/share/iproute2/rt_tables.d/*.conf /etc/iproute2/rt_tables.d/*.conf 2>/dev/null |
		awk '$1 ~ /^[0-9]+$/ { printf "%s=%s ", $2, $1 }'
}

# Interfaces whose IPv6 default route the kernel learned from a router: it hears none any more once it
# forwards, unless accept_ra is 2.
advertised() {
	for i in $(ip -6 route show default proto ra 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | sort -u); do
		case $i in *[!A-Za-z0-9_=+.-]*) continue ;; esac
		case $(cat "/proc/sys/net/ipv6/conf/$i/accept_ra" 2>/dev/null) in 1 | 2) say "advertised $i" ;; esac
	done
}

# The rules by which wg-quick routes a full tunnel; others are nobody's business here.
policy_rules() {
	for f in 4 6; do
		ip "-$f" rule show 2>/dev/null | awk -v f="$f" -v names="$names" '
			BEGIN { k = split(names, all, " "); for (n = 1; n <= k; n++) { split(all[n], one, "="); number[one[1]] = one[2] } }
			/ suppress_prefixlength 0 *$/ { print "rule", f, "suppress"; next }
			/not from all fwmark 0x[0-9a-f]+ lookup / {
				for (n = 2; n < NF; n++) { if ($n == "fwmark") m = $(n + 1); if ($n == "lookup") t = $(n + 1) }
				if (t in number) t = number[t]
				if (t ~ /^[0-9]+$/) print "rule", f, m, t
			}'
	done
}

masks() { # UNIT: the files that mask it, or all of its template
	for d in /etc/systemd/system /run/systemd/system; do
		for n in "$1" "${1%%@*}@.service"; do
			[ ! -L "$d/$n" ] || [ "$(readlink "$d/$n")" != /dev/null ] || say "$d/$n"
		done
	done | grep .
}

# Whether a live table is what its file makes of an empty one, in nft's own words.
is_as_file() { # TABLE
	[ -f "/etc/wireguard/$1.nft" ] || return 0
	# shellcheck disable=SC2016 # the inner shell expands its own word
	made=$(unshare -n sh -c 'nft -f "/etc/wireguard/$1.nft" && nft list table inet "$1"' sh "$1" 2>/dev/null) || return 0
	[ "$(nft list table inet "$1")" = "$made" ]
}

show_link() { # IF
	read_link "$1" || return 1
	say "interface $1 $kind $up $mtu"
	ip -o addr show dev "$1" | awk -v i="$1" '$4 !~ /^fe80:/ { print "address", i, $4 }'
	for f in 4 6; do
		ip "-$f" route show table all dev "$1" 2>/dev/null | awk -v i="$1" -v f="$f" -v names="$names" '
			BEGIN { k = split(names, all, " "); for (n = 1; n <= k; n++) { split(all[n], one, "="); number[one[1]] = one[2] } }
			/proto kernel/ { if ($1 ~ /^[0-9a-f:.]+\/[0-9]+$/) print "connected", i, $1; next }
			$1 !~ /^(default|[0-9a-f:.]+(\/[0-9]+)?)$/ { next }
			{ t = "main"; for (n = 2; n < NF; n++) if ($n == "table") t = $(n + 1); if (t in number) t = number[t]; print "route", i, f, t, $1 }'
	done
}

# Which machine this is, whatever name it is reached by.
identity() {
	if read -r d 2>/dev/null </etc/machine-id && [ -n "$d" ]; then
		hash <<-END && printf 'machine-id %s\n' "$d"
			wgfleet $d
		END
	fi
	for f in /etc/ssh/ssh_host_*_key.pub; do
		[ -f "$f" ] || continue
		d=$(awk 'FNR == 1 { print $1, $2 }' /etc/ssh/ssh_host_*_key.pub | sort | sha256sum)
		printf 'host-key %s\n' "${d%% *}"
		break
	done
}

records() { # what each fleet keeps here about its own changes
	for f in /var/lib/wgfleet/*.json; do
		if [ ! -f "$f" ] || [ -L "$f" ]; then continue; fi
		fleet=${f##*/} fleet=${fleet%.json}
		case $fleet in *[!a-z0-9.-]* | [-.]* | *[-.] | *..*) continue ;; esac
		d=$(stat -c '%u %s' "$f")
		if [ "${d%% *}" != 0 ] || [ "${d##* }" -gt 1048576 ]; then continue; fi
		printf 'record %s\n' "$fleet"
		awk '{ gsub(/[[:cntrl:]]/, "?"); print "| " $0 }' "$f"
	done
}

# Passes on what `state` says, and puts a digest before its end: of all that a plan depends on, and of
# nothing that changes by itself. The first line is the key, and goes no further.
state_digest() {
	awk -F '\t' '
		BEGIN { sum = "sort | sha256sum | cut -d \" \" -f 1" } # some tunnels tell their peers in any order
		NR == 1 { print | sum; next }
		$0 == "end" { ended = 1; exit }
		{ print }
		/^(now|dropped|agent|armed|record|\|) / { next } # a text has its fingerprint on the line before
		$1 == "peer" { print $1, $2, $3, $4, $6, $10 | sum; next } # not its endpoint, handshake and bytes
		{ print | sum }
		END { if (ended) { printf "digest "; fflush(); close(sum); print "end" } }'
}

# What this script is made of; a host without one of them can neither be observed nor changed.
tools="awk cat chmod chown cmp cp cut date dd df du grep head ln mkdir mv readlink rm rmdir sed setsid
	sha256sum sleep sort stat sync tr uname"

lacking() { # says what of that is not there
	lacks=
	for t in $tools; do have "$t" || { say "lacks $t"; lacks=1; }; done
	[ -n "$lacks" ] || return 1
	for t in apt-get dnf yum apk zypper pacman; do ! have $t || { say "installer $t"; break; }; done
}

observe() {
	read -r key || exit 9
	lacks=$(lacking) && { printf 'observe 1\n%s\nend\n' "$lacks"; return; }
	{ printf '%s\n' "$key"; state; } | state_digest
}

state() { # all that is observed
	wanted='' most=1048576
	while read -r word name; do
		case $word in
		interface) wanted="$wanted $name" ;;
		text) case $name in *[!0-9]* | '') ;; *) most=$name ;; esac ;;
		esac
	done
	say observe 1
	date '+now %s'
	d=$(uname -rm)
	printf 'machine %s\nkernel %s\n' "${d##* }" "${d%% *}"
	identity
	printf 'systemd '; yes_no systemd_runs
	printf 'kernel-wireguard '; yes_no kernel_has
	printf 'tun '; yes_no test -c /dev/net/tun
	for t in wg-quick ip nft resolvconf wireguard-go systemctl; do ! have $t || say "tool $t"; done
	! have_wg || say tool wg
	! agent_digest || say "agent $d"
	f=0; read -r f </proc/sys/net/ipv4/ip_forward # one digit
	say "forward4 $f"
	f=0; [ ! -e /proc/sys/net/ipv6/conf/all/forwarding ] || read -r f </proc/sys/net/ipv6/conf/all/forwarding
	[ "$f" = 0 ] || f=1
	say "forward6 $f"
	advertised
	! armed_id || claimed "$d" || ! timer_runs "$d" || say "armed $d"
	for f in "$run"/reverting.*; do # its rollback runs
		claim_of "$f" reverting
		if lives "$by" || timer_runs "$id"; then say "armed $id"; fi
	done
	! have nft || nft list tables inet 2>/dev/null | while read -r _ _ name; do
		is_table "$name" || continue
		d=$(nft list table inet "$name" 2>/dev/null | sed -n 's/.*comment "wgfleet-\([0-9a-f]*\)".*/\1/p' | sort -u | head -n 2 | tr '\n' ,)
		d=${d%,}
		[ -z "$d" ] || is_as_file "$name" || d=$d,altered
		say "firewall $name ${d:-none}"
	done
	units=
	for f in /etc/wireguard/*.conf; do
		[ -f "$f" ] || continue
		i=${f##*/} i=${i%.conf}
		case " $wanted " in *" $i "*) ;; *) grep -q 'Managed by wgfleet' "$f" || continue; wanted="$wanted $i" ;; esac
		show_file "$f"
	done
	for i in $wanted; do # those that are no files
		[ -f "/etc/wireguard/$i.conf" ] || show_odd "/etc/wireguard/$i.conf"
	done
	for f in /etc/wireguard/wgfleet.nft /etc/wireguard/wgfleet-*.nft /etc/sysctl.d/60-wgfleet.conf /etc/sysctl.d/60-wgfleet-*.conf \
		/etc/systemd/system/wg-quick@*.service.d/wgfleet.conf /etc/systemd/system/wgfleet-*.service; do
		show_file "$f"
	done
	if systemd_runs; then
		for i in $wanted; do units="$units wg-quick@$i.service wgfleet-$i.service"; done
		# shellcheck disable=SC2086 # one word for each unit
		[ -z "$units" ] || systemctl is-active $units 2>/dev/null | {
			for u in $units; do
				read -r state || state=unknown
				e=no; [ ! -L "/etc/systemd/system/multi-user.target.wants/$u" ] || e=yes
				a=no; [ "$state" != active ] || a=yes
				m=no; ! masks "$u" >/dev/null || m=yes
				say "unit $u $e $a $m"
			done
		}
	fi
	if have_any_wg; then
		find_stand_in
		dump=$(wg show all dump 2>/dev/null) || dump=
		confs=
		shown=' ' names=$(tables)
		for i in $(wg show interfaces 2>/dev/null); do
			# A name that no inventory can have, and a link that went elsewhere, are nobody's here.
			case $i in *[!A-Za-z0-9_=+.-]* | [-.]*) continue ;; esac
			show_link "$i" || continue
			shown="$shown$i "
			# One that is longer than what is told of it is none of wgfleet's.
			[ -f "/etc/wireguard/$i.conf" ] && [ "$(stat -L -c %s "/etc/wireguard/$i.conf")" -le "$most" ] &&
				confs="$confs /etc/wireguard/$i.conf"
		done
		[ "$shown" = ' ' ] || policy_rules
		# Private keys end here; preshared keys are compared here.
		# shellcheck disable=SC2086 # one word for each file
		[ -z "$dump" ] || printf '%s\n' "$dump" | awk -F '\t' -v shown="$shown" '
			function flush() { if (pub != "" && psk != "") inconf[conf, pub] = psk; pub = psk = "" }
			FILENAME != "-" {
				if (FNR == 1) { flush(); conf = FILENAME; sub(/.*\//, "", conf); sub(/\.conf$/, "", conf) }
				line = $0; sub(/#.*/, "", line); name = tolower(line); sub(/=.*/, "", name); gsub(/[ \t]/, "", name)
				if (name ~ /^\[/) flush()
				value = line; sub(/^[^=]*=[ \t]*/, "", value); gsub(/[ \t\r]/, "", value)
				if (name == "publickey") pub = value; else if (name == "presharedkey") psk = value
				next
			}
			{ flush() }
			index(shown, " " $1 " ") == 0 { next }
			NF == 5 { print "device", $1, $3, $4, $5 }
			NF == 9 {
				state = "none"; if ($3 != "(none)") state = inconf[$1, $2] == $3 ? "as-file" : "other"
				print "peer\t" $1 "\t" $2 "\t" state "\t" $4 "\t" $5 "\t" $6 "\t" $7 "\t" $8 "\t" $9
			}' $confs -
		for f in /run/wireguard/*.wgfleet; do # what wg does not tell
			i=${f##*/} i=${i%.wgfleet}
			case $shown in *" $i "*) ;; *) continue ;; esac
			! embedded "$i" || "$stand_in" wg show "$i" dropped | awk -v i="$i" 'NF == 3 { print "dropped", i, $1, $2, $3 }'
		done 2>/dev/null
	fi
	records
	say end
}

