# ------------------------------------------------------------------------------------- observe
show_odd() { # PATH: where something else is than a file
	if [ -L "$1" ]; then d="link"
	elif [ -d "$1" ]; then d=folder
	elif [ -p "$1" ]; then d=pipe
	elif [ -S "$1" ]; then d=socket
	elif [ -e "$1" ]; then d=device
	else return 0; fi
	say "odd $d $1"
}

# Paths of files that are told of; what no program of wgfleet's could have named is none of its.
add_file() { # PATH
	case $1 in *[!A-Za-z0-9_=+.@/-]*) return 0 ;; esac
	if [ -f "$1" ] && [ ! -L "$1" ]; then files="$files $1"; else show_odd "$1"; fi
}

# What the file is, and its content without secrets; then the digests of who this machine is, whatever
# name it is reached by, and what each fleet keeps here about its own changes. All of it in as few
# programs as it takes, for each costs the host more than what it does.
show_files() { # sets stats and sums
	id='' stats='' some=''
	read -r id 2>/dev/null </etc/machine-id
	# shellcheck disable=SC2086 # one word for each file
	stats=$(stat -L -c '%a %u %s %Y-%Z %n' $files $agent 2>/dev/null)
	while read -r mode owner size time name; do
		case $name in
		'') ;;
		"$agent") ! agent_digest "$size-$time-$mode-$owner" || say "agent $d" ;;
		# None of wgfleet's own files has as much: it gets no digest.
		*) [ "$size" -gt 67108864 ] || some="$some $name" ;;
		esac
	done <<-END
		$stats
	END
	host_keys
	# shellcheck disable=SC2086 # one word for each file
	sums=$(sha256sum /proc/self/fd/3 /proc/self/fd/4 $some 2>/dev/null 3<<-END 4<<-KEYS
		wgfleet $id
	END
		$hostkeys
	KEYS
	)
	printf '%s\n\n%s\n' "$stats" "$sums" | awk -v id="$id" -v keys="${hostkeys:+1}" -v most="$most" -v agent="$agent" '
	# Settings, and whatever has the form of a key: public ones stand behind PublicKey. A line that was
	# cut through is left out, for half a key is none.
	BEGIN { for (k = 0; k < 43; k++) key = key "[A-Za-z0-9+/]"; key = key "=" }
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
	function line(text, rest, c) {
		if (inside) { if (!(c = index(text, "-----END "))) return; inside = 0; sub(/.*-----END [^-]*(-----)?/, "", text); if (text == "") return }
		if (match(text, /-----BEGIN [A-Z0-9 ]*(PRIVATE KEY|AGE ENCRYPTED)/)) {
			rest = substr(text, RSTART + 11)
			inside = !index(rest, "-----END ")
			if (inside) rest = ""; else sub(/.*-----END [^-]*(-----)?/, "", rest)
			text = substr(text, 1, RSTART - 1) (index(substr(text, 1, RSTART), "#") ? "(key)" : "(hidden)") rest
		}
		show(text)
	}
	function tell(path, size, source, text, last, some) {
		some = inside = 0; source = "head -c " most " " path
		while ((size > most ? (source | getline text) : (getline text < path)) > 0) { if (some++) line(last); last = text }
		if (size > most) { close(source); print "| (the file goes on: it has " size " bytes)" } else { close(path); if (some) line(last) }
	}
	function record(path, fleet, text) {
		fleet = path; sub(/.*\//, "", fleet); sub(/\.json$/, "", fleet); print "record", fleet
		while ((getline text < path) > 0) { gsub(/[[:cntrl:]]/, "?", text); print "| " text }
		close(path)
	}
	$0 == "" { digests = 1; next }
	digests { sum[$2] = $1; next }
	$5 != agent { path[++n] = $5; mode[n] = $1; owner[n] = $2; size[n] = $3 }
	END {
		if (id != "") print "machine-id", sum["/proc/self/fd/3"]
		if (keys) print "host-key", sum["/proc/self/fd/4"]
		none = "0000000000000000000000000000000000000000000000000000000000000000"
		for (k = 1; k <= n; k++) {
			if (path[k] ~ /^\/var\/lib\/wgfleet\//) { if (owner[k] == 0 && size[k] <= 1048576) record(path[k]); continue }
			print "file", mode[k], owner[k] == 0 ? "yes" : "no", (path[k] in sum) ? sum[path[k]] : none, path[k]
			tell(path[k], size[k])
		}
	}'
}

host_keys() { # sets hostkeys: type and key of each, sorted
	hostkeys='' last=''
	for f in /etc/ssh/ssh_host_*_key.pub; do
		[ -f "$f" ] || continue
		word=''
		read -r word last _ <"$f" # which fails where no line end comes behind it, and has read it all the same
		[ -z "$word" ] || hostkeys="$hostkeys${hostkeys:+$newline}$word $last"
	done 2>/dev/null
	case $hostkeys in *"$newline"*) hostkeys=$(printf '%s\n' "$hostkeys" | sort) ;; esac
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

masks() { # UNIT: the files that mask it, or all of its template
	masked=1
	for d in /etc/systemd/system /run/systemd/system; do
		for n in "$1" "${1%%@*}@.service"; do
			[ ! -L "$d/$n" ] || [ "$(readlink "$d/$n")" != /dev/null ] || { masked=0; say "$d/$n"; }
		done
	done
	return $masked
}

# The digests that the comments of a live table bear, the first two of them: more than one is none of
# wgfleet's.
marks() { # sets d; reads live
	d='' rest=$live
	while :; do
		rest=${rest#*'comment "wgfleet-'} m=${rest%%\"*}
		case $rest in "$live" | "$m") return ;; esac
		case $m in "$d" | *[!0-9a-f]*) ;; *) if [ -z "$d" ]; then d=$m; else d=$d,$m; return; fi ;; esac
		case $rest in *'comment "wgfleet-'*) ;; *) return ;; esac
	done
}

# Whether a live table is what its file makes of an empty one, in nft's own words. What was found
# lies in /run beside the digest of the file that it was found for: looking again costs a namespace.
is_as_file() { # TABLE; reads live and sums
	file=/etc/wireguard/$1.nft
	[ -f "$file" ] || return 0
	sum=${sums%%"  $file"*}
	[ "$sum" != "$sums" ] || sum=none
	found="${sum##*"$newline"} $live"
	[ -f "$run/as-file.$1" ] && [ "$(cat "$run/as-file.$1")" = "$found" ] && return 0
	# shellcheck disable=SC2016 # the inner shell expands its own word
	made=$(unshare -n sh -c 'nft -f "/etc/wireguard/$1.nft" && nft list table inet "$1"' sh "$1" 2>/dev/null) || return 0
	[ "$live" = "$made" ] || return 1
	[ ! -d "$run" ] || printf '%s\n' "$found" >"$run/as-file.$1"
} 2>/dev/null

show_tables_of_fleets() {
	! have nft || nft list tables inet 2>/dev/null | while read -r _ _ name; do
		is_table "$name" || continue
		live=$(nft list table inet "$name" 2>/dev/null)
		marks
		[ -z "$d" ] || is_as_file "$name" || d=$d,altered
		say "firewall $name ${d:-none}"
	done
}

# What ip(8) is asked about routes and rules, all at once. It does not repeat which interface it was asked
# about, so that stands before.
routing() { # INTERFACE…
	for i in "$@"; do say "link show dev $i"; say "route show table all dev $i"; done
	say "link show dev lo"
	say "rule show"
}

# Interfaces, their addresses, routes and peers, the rules by which wg-quick routes a full tunnel, and
# the interfaces whose IPv6 default route the kernel learned from a router: those hear none any more once
# the host forwards, unless accept_ra is 2.
show_net_state() {
	links='' confs='' own=''
	if have_any_wg; then
		find_stand_in
		for i in $(wg show interfaces 2>/dev/null); do
			# A name that no inventory can have is nobody's here.
			case $i in *[!A-Za-z0-9_=+.-]* | [-.]*) continue ;; esac
			links="$links $i"
			! embedded "$i" || own="$own $i"
			# One that is longer than what is told of it is none of wgfleet's.
			[ -f "/etc/wireguard/$i.conf" ] && [ "$(size_of_conf "$i")" -le "$most" ] && confs="$confs /etc/wireguard/$i.conf"
		done
	fi
	# shellcheck disable=SC2086 # one word for each interface and file
	{
		say @links
		{
			say "addr show type wireguard"
			say "addr show dev lo"
			for one in $links; do say "addr show dev $one"; done
		} | ip -force -batch - 2>/dev/null
		say @routes 4
		routing $links | ip -4 -o -force -batch - 2>/dev/null
		say @routes 6
		{ say "route show default proto ra"; routing $links; } | ip -6 -o -force -batch - 2>/dev/null
		if [ -n "$links" ]; then
			say @dump
			wg show all dump 2>/dev/null
			for one in $own; do # what wg does not tell
				say "@dropped $one"
				"$stand_in" wg show "$one" dropped 2>/dev/null
			done
		fi
	} | awk -v own="$own " -v tables="$(say /usr/share/iproute2/rt_tables /usr/lib/iproute2/rt_tables /etc/iproute2/rt_tables \
		/usr/share/iproute2/rt_tables.d/*.conf /etc/iproute2/rt_tables.d/*.conf)" '
		# Tables that have names: ip(8) prints those.
		BEGIN {
			k = split(tables, all, " ")
			for (n = 1; n <= k; n++) while ((getline row < all[n]) > 0) { split(row, one); if (one[1] ~ /^[0-9]+$/) number[one[2]] = one[1] }
		}
		function table(name) { return name in number ? number[name] : name }
		function flush() { if (pub != "" && psk != "") inconf[conf, pub] = psk; pub = psk = "" }
		FILENAME != "-" {
			if (FNR == 1) { flush(); conf = FILENAME; sub(/.*\//, "", conf); sub(/\.conf$/, "", conf) }
			line = $0; sub(/#.*/, "", line); name = tolower(line); sub(/=.*/, "", name); gsub(/[ \t]/, "", name)
			if (name ~ /^\[/) flush()
			value = line; sub(/^[^=]*=[ \t]*/, "", value); gsub(/[ \t\r]/, "", value)
			if (name == "publickey") pub = value; else if (name == "presharedkey") psk = value
			next
		}
		/^@/ { flush(); part = $1; of = $2; here = ""; next }

		part == "@dump" {
			split($0, field, "\t"); i = field[1]
			if (!(i in shown)) next
			if (NF == 5) print "device", i, field[3], field[4], field[5]
			if (NF == 9) {
				state = "none"
				# Private keys end here; preshared keys are compared here.
				if (field[3] != "(none)") state = inconf[i, field[2]] == field[3] ? "as-file" : "other"
				print "peer\t" i "\t" field[2] "\t" state "\t" field[4] "\t" field[5] "\t" field[6] "\t" field[7] "\t" field[8] "\t" field[9]
			}
			next
		}
		part == "@dropped" { if (NF == 3 && of in shown) print "dropped", of, $1, $2, $3; next }

		part == "@links" {
			if ($1 ~ /^[0-9]+:$/) {
				i = $2; sub(/:$/, "", i)
				here = ""
				if (i == "lo") { begun = 1; next }
				if (!begun) { kernel[i] = 1; next }
				kind = index(own, " " i " ") ? "embedded" : "userspace"; if (i in kernel) kind = "kernel"
				for (n = 4; n < NF; n++) if ($n == "mtu") { print "interface", i, kind, $3 ~ /[<,]UP[,>]/ ? "yes" : "no", $(n + 1); shown[here = i] = some = 1; break }
			} else if (here != "" && $1 ~ /^inet6?$/ && $2 !~ /^fe80:/) print "address", here, $2
			next
		}
		/^[0-9]+: [^ ]+: </ { here = $2; sub(/:$/, "", here); next }
		here == "" {
			for (n = 1; n < NF; n++) if ($n == "dev") i = $(n + 1)
			if ($1 != "default" || i !~ /^[A-Za-z0-9_=+.-]+$/ || i in heard) next
			heard[i] = 1; setting = ""; getline setting < ("/proc/sys/net/ipv6/conf/" i "/accept_ra")
			if (setting == 1 || setting == 2) print "advertised", i
			next
		}
		here == "lo" {
			if (!some) next
			if (/ suppress_prefixlength 0 *$/) print "rule", of, "suppress"
			else if (/not from all fwmark 0x[0-9a-f]+ lookup /) {
				for (n = 2; n < NF; n++) { if ($n == "fwmark") m = $(n + 1); if ($n == "lookup") t = table($(n + 1)) }
				if (t ~ /^[0-9]+$/) print "rule", of, m, t
			}
			next
		}
		!(here in shown) { next }
		/proto kernel/ { if ($1 ~ /^[0-9a-f:.]+\/[0-9]+$/) print "connected", here, $1; next }
		$1 ~ /^(default|[0-9a-f:.]+(\/[0-9]+)?)$/ {
			t = "main"; for (n = 2; n < NF; n++) if ($n == "table") t = $(n + 1)
			print "route", here, of, table(t), $1
		}' $confs -
}

size_of_conf() { # IF; reads stats
	size=${stats%%" /etc/wireguard/$1.conf"*}
	if [ "$size" = "$stats" ]; then stat -L -c %s "/etc/wireguard/$1.conf"; else size=${size% *}; say "${size##* }"; fi
}

# The digest of all that a plan depends on, and of nothing that changes by itself.
state_digest() { # reads key and seen
	printf '%s\n%s\n' "$key" "$seen" | awk -F '\t' '
		/^(now|dropped|agent|armed|record|\|) / || $0 == "end" { next } # a text has its digest on the line before
		$1 == "peer" { print $1, $2, $3, $4, $6, $10; next } # not its endpoint, handshake and bytes
		{ print }' | sort | sha256sum # some tunnels tell their peers in any order
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
	lacks=$(lacking) && { printf 'observe %s\n%s\nend\n' "$protocol" "$lacks"; return; }
	seen=$(state)
	case $seen in *"${newline}end") ;; *) return 1 ;; esac # something ended it half-way
	d=$(state_digest)
	printf '%sdigest %s\nend\n' "${seen%end}" "${d%% *}"
}

state() { # all that is observed
	wanted='' most=1048576
	while read -r word name; do
		case $word in
		interface) wanted="$wanted $name" ;;
		text) case $name in *[!0-9]* | '') ;; *) most=$name ;; esac ;;
		esac
	done
	say "observe $protocol"
	date '+now %s'
	d=$(uname -rm)
	release=${d%% *}
	printf 'machine %s\nkernel %s\n' "${d##* }" "$release"
	printf 'systemd '; yes_no systemd_runs
	printf 'kernel-wireguard '; yes_no kernel_has
	printf 'tun '; yes_no test -c /dev/net/tun
	for t in wg-quick ip nft resolvconf wireguard-go systemctl; do ! have $t || say "tool $t"; done
	! have_wg || say tool wg
	f=0; read -r f </proc/sys/net/ipv4/ip_forward # one digit
	say "forward4 $f"
	f=0; [ ! -e /proc/sys/net/ipv6/conf/all/forwarding ] || read -r f </proc/sys/net/ipv6/conf/all/forwarding
	[ "$f" = 0 ] || f=1
	say "forward6 $f"
	! armed_id || claimed "$d" || ! timer_runs "$d" || say "armed $d"
	for f in "$run"/reverting.*; do # its rollback runs
		claim_of "$f" reverting
		if lives "$by" || timer_runs "$id"; then say "armed $id"; fi
	done
	files='' units='' others=''
	for f in /etc/wireguard/*.conf; do
		[ -f "$f" ] || continue
		i=${f##*/} i=${i%.conf}
		case $i in *[!A-Za-z0-9_=+.-]*) continue ;; esac
		case " $wanted " in *" $i "*) add_file "$f" ;; *) others="$others $f" ;; esac
	done
	# shellcheck disable=SC2086,SC2013 # one word for each file
	[ -z "$others" ] || for f in $(grep -l 'Managed by wgfleet' $others 2>/dev/null); do
		i=${f##*/}
		wanted="$wanted ${i%.conf}"
		add_file "$f"
	done
	for i in $wanted; do # those that are no files
		[ -f "/etc/wireguard/$i.conf" ] || show_odd "/etc/wireguard/$i.conf"
	done
	for f in /etc/wireguard/wgfleet.nft /etc/wireguard/wgfleet-*.nft /etc/sysctl.d/60-wgfleet.conf /etc/sysctl.d/60-wgfleet-*.conf \
		/etc/systemd/system/wg-quick@*.service.d/wgfleet.conf /etc/systemd/system/wgfleet-*.service; do
		add_file "$f"
	done
	for f in /var/lib/wgfleet/*.json; do # what each fleet keeps here about its own changes
		fleet=${f##*/} fleet=${fleet%.json}
		case $fleet in *[!a-z0-9.-]* | [-.]* | *[-.] | *..*) continue ;; esac
		if [ -f "$f" ] && [ ! -L "$f" ]; then files="$files $f"; fi
	done
	show_files
	show_tables_of_fleets
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
	show_net_state
	forget_copies
	say end
}

