# The host's side of wgfleet: POSIX sh, static text. Everything that varies comes on stdin, never
# through this text, so that nothing in an inventory can become a command, and no secret is ever in
# an argument. Arguments: this text itself, a verb, its plain words.
#
#   observe              stdin: fingerprint key, then "interface NAME" lines, and "text BYTES", the most that
#                        is told of a file; stdout: see observed/parse.rs
#   agent MACHINE SHA    stdin: the binary
#   apply ID SECONDS     stdin: payload (files, "ops", "keep" and "undo"; perhaps "observe", what the verb
#                        of that name reads, and "expect", the digest that it has to come to); arms the
#                        timer, then does the ops
#   confirm ID           makes permanent what `apply` did: only now, with "keep", does the next boot change
#   revert ID            rolls it back now
#   expire ID SECONDS    the timer's own verb
#   work ID              does the operations of an armed change, in a session of its own
#   step ID FUNCTION …   a part of a change or its rollback that may hang, in a session of its own
#
# In /run/wgfleet: ID/ has what was sent and, in old/, what was there before; timer.ID the pid of its
# timer; armed.ID is there while the change is armed, and whoever renames that decides between
# confirming and rolling back; `armed`, the same file, keeps other changes out until all is over. What
# a kill leaves behind is finished by the next `apply`.
set -u
self=$1 verb=$2
shift 2
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
LC_ALL=C
WG_ENDPOINT_RESOLUTION_RETRIES=2
export PATH LC_ALL WG_ENDPOINT_RESOLUTION_RETRIES
umask 077
run=/run/wgfleet
lib=/usr/local/lib/wgfleet
agent=$lib/wgfleet
armed=$run/armed
unset WG_HIDE_KEYS

say() { printf '%s\n' "$*"; } # echo(1) of some shells obeys what looks like \n in a file or an error
have() { command -v "$1" >/dev/null 2>&1; }
wg_path=$(command -v wg || say none)
have_wg() { [ "$wg_path" != none ]; }
stand_in=$agent
wg() { if have_wg; then command wg "$@"; else "$stand_in" wg "$@"; fi; }
have_any_wg() { have_wg || [ -x "$agent" ]; }
quick() { # up|down IF, whichever of wg-quick and wgfleet is there
	# What hooks and resolvconf write for others they can read, as after a boot.
	(umask 022; if have wg-quick; then command wg-quick "$@"; else "$agent" quick "$@"; fi)
}
link() { ip link show dev "$1" >/dev/null 2>&1; } # /sys may show another namespace's
is_table() { # NAME: of some fleet; version 0.1.0 had one for all
	case $1 in
	wgfleet) ;;
	wgfleet-*[!a-z0-9.-]* | wgfleet- | wgfleet-[.-]* | wgfleet-*[.-]) return 1 ;;
	wgfleet-*) ;;
	*) return 1 ;;
	esac
}
yes_no() { if "$@"; then say yes; else say no; fi; }
systemd_runs() { [ -d /run/systemd/system ]; }
# shellcheck disable=SC2317 # called through yes_no
kernel_has() { [ -d /sys/module/wireguard ] || modprobe -nq wireguard 2>/dev/null; }

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

# --------------------------------------------------------------------------------------- agent
find_stand_in() { # where the file is damaged, what still runs of it can tell
	! have_wg && ! wg show interfaces >/dev/null 2>&1 || return 0
	# A mark only says where to look: what runs is what was pushed, byte for byte.
	read -r pushed _ <$lib/wgfleet.sha256 || return 0
	for f in /run/wireguard/*.wgfleet; do
		f=${f##*/}
		if embedded "${f%.wgfleet}" && [ -n "$t" ]; then
			d=$(sha256sum <"/proc/$p/exe")
			if [ "${d%% *}" = "$pushed" ] && "/proc/$p/exe" wg show interfaces >/dev/null; then
				stand_in=/proc/$p/exe
				return 0
			fi
		fi
	done
} 2>/dev/null

agent_stamp() { stat -L -c '%s-%Y-%Z-%a-%u' $agent; }

agent_digest() { # sets d; the stamp saves reading the whole binary unless something has touched it
	[ -x $agent ] && read -r d s <$lib/wgfleet.sha256 || return 1
	[ "$s" = "$(agent_stamp)" ] || d=$(sha256sum <$agent) d=${d%% *}
} 2>/dev/null

push_agent() { # MACHINE SHA
	[ "$(uname -m)" = "$1" ] || { say "failed the host is not $1"; return 1; }
	umask 022
	mkdir -p $lib
	# Root runs what lies there. (Who may write above it may write what root runs anyway: Debian's staff.)
	case $(stat -c '%u %A' $lib) in
	'0 d'????[!w]??[!w]?) ;;
	*) say "failed others than root may write to $lib: $(stat -c 'user %u, mode %a' $lib); run \`chown root:root $lib; chmod 755 $lib\` there"; return 1 ;;
	esac
	tmp=$lib/.wgfleet.$$
	cat >$tmp || { rm -f $tmp; say "failed cannot write $lib: $(df -k $lib | awk 'END { print $4 }') KiB are free"; return 1; }
	d=$(sha256sum $tmp | cut -d ' ' -f 1)
	[ "$d" = "$2" ] || { rm -f $tmp; say "failed the binary arrived damaged"; return 1; }
	chmod 755 $tmp
	$tmp --version >/dev/null 2>&1 || { rm -f $tmp; say "failed the binary does not run here"; return 1; }
	sync $tmp 2>/dev/null || sync
	mv -f $tmp $agent
	for n in wgfleet-tunnel wg wg-quick; do ln -sfn wgfleet $lib/$n; done
	say "$d $(agent_stamp)" >$lib/wgfleet.sha256
	say 'done'
}

# ---------------------------------------------------------------------------------- operations
wait_gone() { # IF: a userspace daemon ends a moment after its link
	n=0
	while { link "$1" || [ -S "/run/wireguard/$1.sock" ]; } && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.05; done
	unmark "$1"
	! link "$1"
}

backend_env() { # BACKEND: what wg-quick is to start where the kernel has no WireGuard
	case $1 in
	embedded) WG_QUICK_USERSPACE_IMPLEMENTATION=$lib/wgfleet-tunnel ;;
	userspace) WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go ;;
	*) return 0 ;;
	esac
	export WG_QUICK_USERSPACE_IMPLEMENTATION
}

start_tunnel() { # IF: in a unit of its own it outlives the login, and has nothing of its environment
	if systemd_runs && have systemd-run &&
		systemd-run -q --collect --service-type=forking -p LimitCORE=0 --unit="wgfleet-userspace@$1" \
			"$agent" tunnel "$1" 2>/dev/null </dev/null; then
		return 0
	fi
	# Not begun at all, or begun and failed: only the first is tried again.
	link "$1" || "$agent" tunnel "$1" </dev/null
}

make_dir() { # PATH: only what holds keys is closed
	case $1 in /etc/wireguard | /var/lib/wgfleet) mkdir -p "$1" ;; *) (umask 022 && mkdir -p "$1") ;; esac
}

beside() { tmp=${1%/*}/.${1##*/}.wgfleet; } # PATH: sets the name under which its next content waits

sync_path() { sync "$1" 2>/dev/null || sync; } # PATH: a file, or the names in a folder; some sync(1) can only do all

prepare_file() { # STAGED MODE PATH: all that can fail, a full disk above all
	# mv(1) would put it into the folder.
	[ ! -d "$3" ] || { printf '%s is a folder\n' "$3"; return 1; }
	make_dir "${3%/*}"
	beside "$3"
	cp "$1" "$tmp" && chmod "$2" "$tmp" && chown 0:0 "$tmp" && sync_path "$tmp"
}

install_file() { # STAGED MODE PATH
	prepare_file "$@" && mv -f "$tmp" "$3"
}

keep_file() { # STAGED MODE PATH: what was prepared
	beside "$3"
	if [ -e "$tmp" ]; then mv -f "$tmp" "$3"; else install_file "$@"; fi
}

try_file() { # STAGED IF: whether wg-quick understands it, and whether the programs of its hooks are there
	mkdir -p "$stage/try" && cp "$1" "$stage/try/$2.conf" && quick strip "$stage/try/$2.conf" >"$stage/try/set" || return 1
	# wg reads all of it, names of endpoints too, before it finds that there is no such interface. What
	# it says of a line may hold a key.
	! have_wg || ! wg setconf "try-$$" "$stage/try/set" 2>&1 | awk '
		/^(Name or service|Temporary failure|No address)/ { name = $0 }
		/^Configuration parsing error/ { print name == "" ? "wg does not understand it" : name; bad = 1 }
		END { exit !bad }' || return 1
	awk -v i="$2" '
		tolower($0) ~ /^[ \t]*(pre|post)(up|down)[ \t]*=/ {
			sub(/^[^=]*=[ \t]*/, ""); split($0, words, /[ \t;&|<>()]/); gsub(/%i/, i, words[1])
			if (words[1] ~ /^\/[A-Za-z0-9_.\/+:@-]+$/) print words[1]
		}' "$1" | while read -r hook; do
		if [ ! -f "$hook" ] || [ ! -x "$hook" ]; then
			printf 'a hook of %s runs %s, which is not a program on this host\n' "$2" "$hook"
			exit 1
		fi
	done
}

unit_log() { # UNIT: systemctl(1) says only where to read why it did not start
	have journalctl || return 0
	journalctl -q --no-pager -o cat -n 6 -u "$1" "_SYSTEMD_INVOCATION_ID=$(systemctl show -p InvocationID "$1" | cut -d = -f 2)"
} 2>/dev/null

# Whom an interface spoke with hears from it at once, at its new port or with its new key: until then
# they answer to where it was, and one that it reaches through NAT could not even ask.
greet() { # IF
	{ wg show "$1" persistent-keepalive; wg show "$1" latest-handshakes; } | awk '
		!($1 in keep) { keep[$1] = $2; next }
		$2 > 0 {
			# It is sent whenever a keepalive is switched on.
			printf "peer %s persistent-keepalive %s ", $1, keep[$1] == "off" ? 5 : "off"
			printf "peer %s persistent-keepalive %s ", $1, keep[$1]
			if (++n % 50 == 0) print ""
		}
		END { print "" }' | while read -r words; do
		# shellcheck disable=SC2086 # words
		[ -z "$words" ] || wg set "$1" $words
	done
}

self_of() { wg show "$1" listen-port; wg show "$1" public-key; } # IF

op() { # one operation, its words already split
	verb=$1
	shift
	case $verb in
	create)
		unmark "$1"
		case $2 in
		kernel) ip link add dev "$1" type wireguard ;;
		embedded) start_tunnel "$1" ;;
		userspace) wireguard-go "$1" </dev/null ;;
		esac
		;;
	delete) ! link "$1" || { ip link del dev "$1" && wait_gone "$1"; } ;;
	setconf) wg setconf "$1" "$stage/$2" ;;
	addconf) wg addconf "$1" "$stage/$2" ;;
	forget) i=$1; shift; n=$#; while [ "$n" -gt 0 ]; do set -- "$@" peer "$1" remove; shift; n=$((n - 1)); done; wg set "$i" "$@" ;;
	private) wg set "$1" private-key "$stage/$2" && greet "$1" ;;
	port) wg set "$1" listen-port "$2" && greet "$1" ;;
	fwmark) wg set "$1" fwmark "$2" ;;
	keepalive) wg set "$1" peer "$2" persistent-keepalive "$3" ;;
	endpoint) wg set "$1" peer "$2" endpoint "$3" ;;
	psk) wg set "$1" peer "$2" preshared-key "$stage/$3" ;;
	no-psk) wg set "$1" peer "$2" preshared-key /dev/null ;;
	batch) ip -batch "$stage/$1" ;;
	drop) ip -force -batch "$stage/$1"; : ;; # what went along with something else is gone already
	try) try_file "$stage/$1" "$2" ;;
	quick-up) backend_env "$2"; quick up "$1" </dev/null ;;
	quick-down) quick down "$1" </dev/null; if link "$1"; then op delete "$1"; else wait_gone "$1"; fi ;;
	file) install_file "$stage/$1" "$2" "$3" ;;
	prepare) prepare_file "$stage/$1" "$2" "$3" ;;
	keep) keep_file "$stage/$1" "$2" "$3" ;;
	protect) chmod "$1" "$2" && chown 0:0 "$2" ;;
	remove) rm -f "$1"; case $1 in *.service.d/*) rmdir "${1%/*}" 2>/dev/null ;; esac; : ;;
	sysctl) printf '%s\n' "$2" >"/proc/sys/$1" ;;
	nft) nft -f "$stage/$1" ;; # all in one transaction, whichever tables it replaces
	nft-delete) nft delete table inet "$1" ;;
	reload) systemctl daemon-reload ;;
	unmask) masks "$1" | while read -r f; do rm -f "$f"; done; systemctl daemon-reload ;;
	enable) systemctl -q enable "$1" ;;
	disable) systemctl -q disable "$1" ;;
	start | restart) systemctl -q "$verb" "$1" || { unit_log "$1"; return 1; } ;;
	stop) systemctl stop "$1" ;;
	touch) ;;
	*) printf 'unknown operation %s\n' "$verb"; return 1 ;;
	esac
}

# What an operation says must not carry a key; its end says why it failed. (wireguard-go draws a box.)
no_keys() {
	sed '/^[┌│└]/d; s#[A-Za-z0-9+/]\{43\}=#(key)#g' | tr '\n\t' '  ' | tr -d '[:cntrl:]' |
		awk '{ if (length($0) > 400) $0 = "... " substr($0, length($0) - 395); print }'
}

do_ops() { # ID: stops at the first failure, and says which; stops where the change is not armed any more
	n=0
	while read -r line; do
		n=$((n + 1))
		[ -e "$run/armed.$1" ] || return 2
		if ! printf '%s\n' "$line" >>"$stage/begun"; then
			printf 'failed %s %s: cannot write %s%s\n' "$n" "${line%% *}" "$run" "$(full)"
			return 1
		fi 2>/dev/null
		# shellcheck disable=SC2086 # the words hold no blanks and no patterns
		# Not $(…): a daemon that is started here would keep the pipe open.
		if ! (set -f; op $line) >"$stage/said" 2>&1 </dev/null; then
			printf 'failed %s %s: %s\n' "$n" "${line%% *}" "$(no_keys <"$stage/said")"
			return 1
		fi
	done <"$stage/ops"
}

# What was not begun needs no rollback: an interface that was not stopped yet goes on.
began() { # IF
	[ -e "$stage/begun" ] && awk -v i="$1" '
		$1 ~ /^(quick-up|quick-down|delete)$/ && $2 == i { found = 1 }
		$1 ~ /^(start|stop|restart)$/ && ($2 == "wg-quick@" i ".service" || $2 == "wgfleet-" i ".service") { found = 1 }
		END { exit !found }' "$stage/begun"
}

began_unit() { # UNIT ACTIVE: to start what runs does nothing
	[ -e "$stage/begun" ] && awk -v u="$1" -v ran="$2" '
		$1 ~ /^(stop|restart|enable|disable)$/ && $2 == u { found = 1 }
		$1 == "start" && $2 == u && ran != "yes" { found = 1 }
		END { exit !found }' "$stage/begun"
}

# A step that may hang runs in a session of its own, which ends with all that it started when its time
# is up: nothing that a rollback calls can hold it up.
within() { # SECONDS ID FUNCTION WORDS…
	n=$(($1 * 50))
	shift
	setsid sh "$run/$1/host.sh" "" step "$@" </dev/null >/dev/null 2>&1 &
	p=$!
	while going $p; do
		[ $n -gt 0 ] || { (end_session "$p"); wait "$p"; return 124; }
		n=$((n - 1)); sleep 0.02
	done
	wait $p
} 2>/dev/null

# Ends all processes of a session but the tunnels that it started: with a tunnel would go its interface,
# and then nobody could take its rules down as they were made.
end_session() { # PID of its leader
	for n in 1 2 3; do
		for f in /proc/[0-9]*/stat; do
			read -r l <"$f" || continue
			# shellcheck disable=SC2086 # the numbers behind its name: state, parent, group, session
			set -- "$1" ${l##*) }
			[ "$5" = "$1" ] || continue
			p=${f#/proc/} p=${p%/stat}
			is_tunnel "$p" || kill -KILL "$p"
		done
	done
} 2>/dev/null

going() { read -r _ _ s _ <"/proc/$1/stat" && [ "$s" != Z ]; } 2>/dev/null # PID; its name has no blank

step() { # ID FUNCTION WORDS…
	stage=$run/$1 verb=$2
	shift 2
	say 0 >/proc/$$/oom_score_adj # the timer's is its own
	case $verb in
	compare) compare ;;
	snapshot) snapshot ;;
	op) op "$@" ;;
	hold_unit) hold_unit "$1" ;;
	unit_off) unit_off "$@" ;;
	unit_on) unit_on "$@" ;;
	old_files) old_files ;;
	sync_names) sync_names ;;
	old_link) old_link "$1" ;;
	old_table) old_table "$1" ;;
	old_rules) old_rules ;;
	clear_rules) clear_rules ;;
	esac
} 2>/dev/null

free_room() { df -k "$run" 2>/dev/null | awk 'END { print $4 + 0 }'; }

full() { # [3]: a reason, where there is one: the disk
	free=$(free_room)
	if [ "${1:-0}" = 3 ] || [ "$free" -lt 64 ]; then printf '; %s is full: %s KiB are free' "$run" "$free"; fi
}

# Whatever a change and its rollback write here later fits into what this file takes now.
make_room() { # KIB
	free=$(free_room)
	dd if=/dev/zero of="$stage/room" bs=1024 count="$1" 2>/dev/null && return 0
	rm -f "$stage/room"
	reason="$run is full: $free KiB are free, $1 KiB are needed"
	return 1
}

size_of() { du -sk "$1" 2>/dev/null | awk 'END { print $1 + 0 }'; }

# ------------------------------------------------------------------------------ snapshot, revert
show_net() { # IF: link, addresses and routes as lines that ip(8) takes back; link-local IPv6 is the kernel's
	read_link "$1" || return 1
	if [ "$up" = yes ]; then up=up; else up=down; fi
	say "link set dev $1 mtu $mtu $up"
	ip -o addr show dev "$1" | awk -v i="$1" '
		$4 ~ /^fe80:/ { next }
		{ a = $4; if ($5 == "peer") a = a " peer " $6; print "address add " a " dev " i }'
	for f in 4 6; do
		ip "-$f" route show table all dev "$1" 2>/dev/null | awk -v i="$1" -v f="$f" '
			/^fe80::/ || /^(local|broadcast|multicast|anycast|unreachable|blackhole|prohibit|throw) / { next }
			{
				sub(/^default/, f == 4 ? "0.0.0.0/0" : "::/0")
				gsub(/ (linkdown|dead|offload|trap|expires [^ ]*)/, ""); sub(/ +$/, "")
				print "route replace " $0 " dev " i
			}'
	done
}

settle_net() { # IF: the least that gives it again what it had; an address can take others along, so look again
	for n in 1 2 3 4; do
		show_net "$1" >"$stage/now" || return 1
		! cmp -s "$stage/now" "$stage/old/$1.net" || return 0
		awk '
			NR == FNR { old[$0] = 1; line[++n] = $0; next }
			{ now[$0] = 1 }
			!($0 in old) && !/^link/ { sub(/ (add|replace) /, " del "); print }
			END { for (k = 1; k <= n; k++) if (!(line[k] in now)) print line[k] }
		' "$stage/old/$1.net" "$stage/now" >"$stage/back"
		ip -force -batch "$stage/back" >/dev/null 2>&1
	done
	# The order in which they were added is not worth a disturbance.
	sort "$stage/now" >"$stage/now.sorted"
	sort "$stage/old/$1.net" | cmp -s - "$stage/now.sorted"
}

snapshot() {
	: >"$stage/saving" && mkdir "$stage/old" || return 1
	if grep -Eq '^(quick-up|quick-down|start|stop|restart) ' "$stage/ops"; then
		{ show_rules >"$stage/old/rules" && show_tables >"$stage/old/tables"; } || return 1
		# wg-quick sets it for a full tunnel, and never back.
		old=$(cat "/proc/sys/$valid_mark") && say "$valid_mark $old" >>"$stage/old/sysctls"
	fi
	while read -r verb a b c _; do
		case $verb in
		touch)
			if link "$a"; then
				wg showconf "$a" >"$stage/old/$a.live" && show_net "$a" >"$stage/old/$a.net" || return 1
				say "$kind" >"$stage/old/$a.kind"
			else
				: >"$stage/old/$a.absent"
			fi
			;;
		file) old_file "$c" || return 1 ;;
		keep) old_file "$c" || return 1 ;; # prepared before
		prepare) old_folder "$c"; say "$c" >>"$stage/old/prepared" ;;
		remove) old_file "$a" || return 1 ;;
		protect) old_file "$b" || return 1 ;;
		sysctl) old=$(cat "/proc/sys/$a") && say "$a $old" >>"$stage/old/sysctls" ;; # read(1) stops after one byte there
		nft) save_table "$b" && { [ -z "$c" ] || save_table "$c"; } || return 1 ;;
		nft-delete) save_table "$a" || return 1 ;;
		unmask) for f in $(masks "$a"); do old_file "$f" || return 1; done ;;
		enable | disable | start | stop | restart)
			grep -q "^$a " "$stage/old/units" || say "$a $(unit_state "$a")" >>"$stage/old/units"
			;;
		esac
	done <"$stage/ops"
	# What failed above for want of room fails here again.
	make_room $(($(size_of "$stage/old") * 2 + 32)) || return 3
	rm "$stage/saving"
} 2>/dev/null

there() { [ -e "$1" ] || [ -L "$1" ]; }

old_folder() { [ -d "${1%/*}" ] || say "${1%/*}" >>"$stage/old/dirs"; } # PATH

old_file() { # PATH
	files=$((${files:-0} + 1))
	old_folder "$1"
	if there "$1"; then cp -pP "$1" "$stage/old/file.$files" && say "$files $1" >>"$stage/old/files"; else say "- $1" >>"$stage/old/files"; fi
}

save_table() { # NAME: a word of an operation, and part of a path
	is_table "$1" && { nft list table inet "$1" >"$stage/old/nft.$1" || : >"$stage/old/nft.$1"; }
}

valid_mark=net/ipv4/conf/all/src_valid_mark

# The rules of wg-quick get their priority from what is there, so that says nothing about them.
show_rules() {
	for f in 4 6; do
		ip "-$f" rule show 2>/dev/null | awk -v f="$f" '
			/suppress_prefixlength 0 *$/ || /not from all fwmark / { sub(/^[0-9]+:/, "quick:") }
			{ gsub(/[ \t]+/, " "); sub(/ $/, ""); print f, $0 }' | sort
	done
}

show_tables() { ! have nft || nft list tables 2>/dev/null | sort; }

unit_state() { say "$(yes_no systemctl -q is-enabled "$1") $(yes_no systemctl -q is-active "$1")"; } # UNIT

same_file() { # SAVED PATH: nothing to write, where nothing changed and the disk may be full
	if [ -L "$1" ] || [ -L "$2" ]; then
		[ -L "$1" ] && [ -L "$2" ] && [ "$(readlink "$1")" = "$(readlink "$2")" ]
	else
		[ -f "$2" ] && cmp -s "$1" "$2" && [ "$(stat -c '%a %u %g' "$1")" = "$(stat -c '%a %u %g' "$2")" ]
	fi
}

old_files() { # puts files, and folders that were not there, back; says which it could not
	bad=
	[ ! -e "$stage/old/prepared" ] || while read -r path; do beside "$path"; rm -f "$tmp"; done <"$stage/old/prepared"
	[ ! -e "$stage/old/files" ] || while read -r n path; do
		beside "$path"; rm -f "$tmp"
		make_dir "${path%/*}"
		if [ "$n" = - ]; then rm -f "$path"; ! there "$path" || bad="$bad $path"
		elif ! same_file "$stage/old/file.$n" "$path"; then
			# Beside it first, and on the disk before it has its name.
			if cp -pP "$stage/old/file.$n" "$tmp" && { [ -L "$tmp" ] || sync_path "$tmp"; } && mv -f "$tmp" "$path"; then :
			else rm -f "$tmp"; bad="$bad $path"; fi
		fi
	done <"$stage/old/files"
	[ ! -e "$stage/old/dirs" ] || while read -r path; do rmdir "$path" 2>/dev/null; done <"$stage/old/dirs"
	printf '%s' "$bad" >"$stage/bad"
	sync_names
}

# The folders in which a change has written, made, renamed or removed something, down to the disk.
sync_names() {
	for f in ops keep; do
		[ ! -e "$stage/$f" ] || awk '
			$1 == "file" || $1 == "prepare" || $1 == "keep" { print $4 }
			$1 == "remove" { print $2 }
			$1 == "protect" { print $3 "/." }
			$1 == "enable" || $1 == "disable" || $1 == "unmask" {
				print "/etc/systemd/system/" $2; print "/etc/systemd/system/multi-user.target.wants/" $2
			}' "$stage/$f"
	done | {
		[ ! -e "$stage/old/dirs" ] || cat "$stage/old/dirs"
		cat
	} | while read -r path; do
		path=${path%/*}
		until [ -e "$path" ] || [ -z "$path" ]; do path=${path%/*}; done
		printf '%s\n' "${path:-/}"
	done | sort -u | {
		fine=0
		while read -r path; do sync_path "$path" || fine=1; done
		[ $fine = 0 ]
	}
}

# Stands still while its interface is taken down: what is left of a hook must not go on behind that.
hold_unit() { # UNIT: in the midst of its start or stop
	case $(systemctl show -p ActiveState "$1") in *=activating | *=deactivating) ;; *) return 0 ;; esac
	g=$(systemctl show -p ControlGroup "$1")
	g=${g#ControlGroup=}
	[ -n "$g" ] || return 0
	for n in 1 2; do
		for f in "/sys/fs/cgroup$g/cgroup.procs" "/sys/fs/cgroup/systemd$g/cgroup.procs"; do
			[ ! -r "$f" ] || while read -r p; do is_tunnel "$p" || kill -STOP "$p"; done <"$f"
		done
	done
} 2>/dev/null

is_tunnel() { # PID: the interface would go with it, and with it what takes its rules down
	read -r name <"/proc/$1/comm" || return 0
	[ "$name" != wireguard-go ] || return 0
	for mark in /run/wireguard/*.wgfleet; do
		! read -r marked _ <"$mark" || [ "$marked" != "$1" ] || return 0
	done
	return 1
} 2>/dev/null

# Ends a unit without its ExecStop: its interface is down already, or is older than it. A job that still
# runs for it goes too.
let_go() { # UNIT
	case $(systemctl show -p ActiveState "$1") in *=inactive) return 0 ;; esac
	d=/run/systemd/system/$1.d
	mkdir -p "$d" && printf '[Service]\nExecStop=\nExecStopPost=\nRestart=no\nTimeoutStopSec=5\n' >"$d/zz-wgfleet.conf"
	chmod 755 "$d" && chmod 644 "$d/zz-wgfleet.conf"
	systemctl daemon-reload
	case $(systemctl show -p ActiveState "$1") in *=activating | *=deactivating) systemctl kill -s KILL "$1" ;; esac
	systemctl -q stop --job-mode=replace-irreversibly "$1"
	rm -f "$d/zz-wgfleet.conf"; rmdir "$d"
	systemctl daemon-reload
	systemctl -q reset-failed "$1"
} >/dev/null 2>&1

unit_off() { # UNIT ENABLED ACTIVE
	[ "$2" = yes ] || systemctl -q disable "$1"
	i=${1%.service} i=${i#wg-quick@} i=${i#wgfleet-}
	# Its interface had gone without it, and has now; it only thinks that it runs.
	! { [ "$3" = yes ] && [ -e "$stage/old/$i.absent" ] && systemctl -q is-active "$1"; } || return 0
	let_go "$1"
}

unit_on() { # UNIT ENABLED ACTIVE
	[ "$2" = no ] || systemctl -q enable "$1"
	[ "$3" = no ] || systemctl -q start "$1"
	[ "$2 $3" = "$(unit_state "$1")" ]
}

units() { # SECONDS FUNCTION: for each unit that the change touched
	[ -e "$stage/old/units" ] || return 0
	while read -r u enabled active; do
		began_unit "$u" "$active" || continue
		within "$1" "${stage##*/}" "$2" "$u" "$enabled" "$active" || [ "$2" != unit_on ] || bad="$bad $u"
	done <"$stage/old/units"
}

old_link() { # IF, which was there
	read -r was <"$stage/old/$1.kind" || return 1
	if read_link "$1" && [ "$kind" != "$was" ]; then op delete "$1"; fi
	if ! link "$1"; then
		rm -f "/run/wireguard/$1.sock"
		unmark "$1"
		backend_env "$was"
		[ ! -f "/etc/wireguard/$1.conf" ] || quick up "$1"
		link "$1" || op create "$1" "$was" || return 1
	fi
	# What a file does not name, syncconf leaves: keepalives among it.
	awk '
		function flush() { if (peer && !has) print "PersistentKeepalive = off"; has = 0 }
		/^\[/ { flush(); peer = /^\[Peer/; print; if (!peer) print "FwMark = off"; next }
		/^PersistentKeepalive/ { has = 1 }
		NF { print }
		END { flush() }' "$stage/old/$1.live" >"$stage/$1.back"
	known=$(self_of "$1")
	wg syncconf "$1" "$stage/$1.back"
	[ "$known" = "$(self_of "$1")" ] || greet "$1"
	settle_net "$1" && [ "$(conf_sum <"$stage/old/$1.live")" = "$(wg showconf "$1" | conf_sum)" ]
}

# An endpoint moves by itself.
conf_sum() { grep -v '^Endpoint' | sort | sha256sum; }

# Rules that the policy routing of a tunnel of this change left behind, because it died before wg-quick
# could take them down: with them still there, wg-quick's new ones come in the wrong order and the host
# is cut off. Nobody else's are touched.
clear_rules() {
	show_tables | while read -r _ family name; do
		i=${name#wg-quick-}
		[ -e "$stage/old/$i.live" ] || [ -e "$stage/old/$i.absent" ] || continue
		[ "$i" = "$name" ] || link "$i" || nft delete table "$family" "$name"
	done
	for f in 4 6; do
		gone=0
		# shellcheck disable=SC2013 # one word a line
		for mark in $(ip "-$f" rule show | sed -n 's/.*not from all fwmark \(0x[0-9a-f]*\) lookup.*/\1/p' | sort -u); do
			! wg show all fwmark | grep -q "[[:blank:]]$mark\$" || continue
			had=$(grep -c "^$f quick: not from all fwmark $mark " "$stage/old/rules")
			# Before the change it was there: ours where an interface of the change had the mark.
			[ "$had" = 0 ] || cat "$stage/old/"*.live 2>/dev/null | grep -qi "^FwMark = $mark\$" || continue
			gone=$((gone + had))
			while ip "-$f" rule del not fwmark "$mark"; do :; done
		done
		left=$(($(grep -c "^$f quick: .*suppress_prefixlength 0" "$stage/old/rules") - gone))
		while [ "$(ip "-$f" rule show | grep -c 'suppress_prefixlength 0')" -gt "$left" ]; do
			ip "-$f" rule del table main suppress_prefixlength 0 || break
		done
	done
} 2>/dev/null

old_rules() { # what wg-quick made for an interface that is gone again, where it could not take it back itself
	show_tables | while read -r word family name; do
		! grep -qx "$word $family $name" "$stage/old/tables" || continue
		case $name in wg-quick-*) [ ! -e "$stage/old/${name#wg-quick-}.absent" ] || nft delete table "$family" "$name" ;; esac
	done
	show_rules | awk '
		NR == FNR { old[$0]++; next }
		old[$0] > 0 { old[$0]--; next }
		$2 == "quick:"' "$stage/old/rules" - | while read -r f _ rule; do
		mark=${rule#*fwmark } mark=${mark%% *}
		! wg show all fwmark | grep -q "[[:blank:]]$mark\$" || continue
		# shellcheck disable=SC2046 # the words of a rule
		ip "-$f" rule del $(printf '%s\n' "$rule" | sed 's/^not from all/not/; s/^from all //; s/ lookup / table /; s/^lookup /table /')
	done
}

same_rules() { # sets bad
	[ -e "$stage/old/tables" ] || return 0
	show_rules | cmp -s - "$stage/old/rules" || bad="$bad ip-rules"
	show_tables | cmp -s - "$stage/old/tables" || bad="$bad nft-tables"
}

same_table() { nft list table inet "$1" 2>/dev/null | cmp -s - "$stage/old/nft.$1"; } # NAME

old_table() { # NAME; in one go: what passes just now is never without its rules
	same_table "$1" || { printf 'table inet %s\ndelete table inet %s\n' "$1" "$1"; cat "$stage/old/nft.$1"; } | nft -f -
	same_table "$1"
}

tunnels_are_up() { # every interface that was there is there
	for f in "$stage"/old/*.live; do
		i=${f##*/}
		[ ! -e "$f" ] || link "${i%.live}" || return 1
	done
}

stop_work() { # no operation may come after the rollback has begun
	[ -e "$stage/worker" ] && read -r pid <"$stage/worker" || return 0
	! runs "$pid" work || (end_session "$pid")
	n=0
	while runs "$pid" work && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.05; done
} 2>/dev/null

revert() { # ID, already claimed: takes everything back and says whether that was seen; can be done again
	stage=$run/$1 bad=
	rm -f "$stage/room"
	stop_work
	# Without a whole snapshot nothing was done.
	if [ ! -d "$stage/old" ] || [ -e "$stage/saving" ]; then finish "$1"; say reverted; return; fi
	# A version before this one kept neither of them.
	[ -e "$stage/host.sh" ] || { printf '%s\n' "$self" >"$stage/host.sh"; cp "$stage/ops" "$stage/begun"; }
	[ ! -e "$stage/old/nft" ] || mv "$stage/old/nft" "$stage/old/nft.wgfleet"
	! systemd_runs || units 10 hold_unit
	# First while its file, its tunnel and its unit are there: hooks, rules and DNS are wg-quick's to undo.
	while read -r verb i; do
		! began "$i" || within 20 "$1" op "$verb" "$i"
	done <"$stage/undo"
	for f in "$stage"/old/*.absent; do
		[ -e "$f" ] || continue
		i=${f##*/} i=${i%.absent}
		if link "$i" && [ -f "/etc/wireguard/$i.conf" ] && ! grep -q "^create $i " "$stage/ops"; then within 20 "$1" op quick-down "$i"; fi
	done
	! systemd_runs || units 25 unit_off
	for f in "$stage"/old/*.absent; do
		[ -e "$f" ] || continue
		i=${f##*/} i=${i%.absent}
		within 10 "$1" op delete "$i"
		rm -f "/run/wireguard/$i.sock"
		unmark "$i"
		! link "$i" || bad="$bad $i"
	done
	[ ! -e "$stage/old/tables" ] || tunnels_are_up || within 20 "$1" clear_rules
	within 60 "$1" old_files || bad="$bad disk"
	[ ! -s "$stage/bad" ] || bad=$bad$(cat "$stage/bad")
	if systemd_runs; then within 20 "$1" op reload; units 30 unit_on; fi
	for f in "$stage"/old/*.live; do
		[ -e "$f" ] || continue
		i=${f##*/} i=${i%.live}
		within 30 "$1" old_link "$i" || bad="$bad $i"
	done
	# What comes back before what goes: a table that got another name is never away under both.
	for had in yes no; do
		for f in "$stage"/old/nft.*; do
			if [ ! -e "$f" ] || [ "$(yes_no test -s "$f")" != $had ]; then continue; fi
			within 20 "$1" old_table "${f##*/nft.}" || bad="$bad nft"
		done
	done
	if [ -e "$stage/old/sysctls" ]; then
		while read -r name value; do
			[ "$(cat "/proc/sys/$name")" = "$value" ] || printf '%s\n' "$value" >"/proc/sys/$name"
			[ "$(cat "/proc/sys/$name")" = "$value" ] || bad="$bad $name"
		done <"$stage/old/sysctls"
	fi
	if [ -e "$stage/old/tables" ]; then within 20 "$1" old_rules; same_rules; fi
	finish "$1"
	if [ -z "$bad" ]; then say reverted; else printf 'unverified%s\n' "$bad"; fi
}

# ------------------------------------------------------------------------------ apply, confirm
# A change ID is armed while armed.ID is there, and whoever renames that file decides what becomes of
# it. `armed`, a second name of the same file, keeps other changes out until all of this one is over;
# only who holds the change removes it.
start_of() { # PID: sets s, its start time: with it a process id means one process
	read -r s <"/proc/$1/stat" || return 1
	# shellcheck disable=SC2086 # the numbers behind its name
	set -- ${s##*) }
	[ "$1" != Z ] && s=${20}
} 2>/dev/null

myself() { start_of $$ && printf '%s-%s\n' $$ "$s"; }

lives() { # PID-START
	case $1 in *[!0-9-]* | -* | *- | '') return 1 ;; esac
	start_of "${1%-*}" && [ "$s" = "${1#*-}" ]
}

claim() { # ID WORD: only one of all who try succeeds
	mv "$run/armed.$1" "$run/$2.$1.$(myself)"
} 2>/dev/null

claim_of() { # FILE WORD: sets id, and by, who claimed it
	id=${1#"$run/$2."} by=
	case $id in *.*) by=${id#*.} id=${id%%.*} ;; esac
}

claimed() { # ID: some process has it, or had it when it died
	for f in "$run/reverting.$1" "$run/reverting.$1".* "$run/confirmed.$1" "$run/confirmed.$1".*; do [ ! -e "$f" ] || return 0; done
	return 1
}

armed_id() { # sets d; an empty file, as a full disk leaves it, names nothing
	[ -e $armed ] && read -r d <$armed || return 1
	case $d in *[!a-zA-Z0-9_-]* | '') return 1 ;; esac
} 2>/dev/null

# What was confirmed is done for the next boot too, and is on the disk; can be done again, where a kill
# came between.
keep() { # ID
	stage=$run/$1 bad=
	rm -f "$stage/room"
	[ ! -d "$stage" ] || [ -e "$stage/host.sh" ] || printf '%s\n' "$self" >"$stage/host.sh"
	[ ! -e "$stage/keep" ] || while read -r line; do
		# shellcheck disable=SC2086 # the words hold no blanks and no patterns
		within 20 "$1" op $line || bad="$bad ${line##* }"
	done <"$stage/keep"
	[ ! -d "$stage" ] || within 60 "$1" sync_names || bad="$bad (the disk does not say that it has it)"
	finish "$1"
	if [ -z "$bad" ]; then say confirmed; else printf 'confirmed, but not for the next boot:%s\n' "$bad"; fi
}

finish() { # ID: who claimed it, or never armed it
	rm -rf "${run:?}/$1" "$run/timer.$1" "$run/armed.$1"
	! { armed_id && [ "$d" = "$1" ]; } || rm -f $armed
	rm -f "$run/reverting.$1" "$run/reverting.$1".* "$run/confirmed.$1" "$run/confirmed.$1".*
}

disarm() { # ID: nothing was done yet
	! claim "$1" confirmed || { stop_timer "$1"; finish "$1"; }
}

runs() { tr '\0' ' ' <"/proc/$1/cmdline" | grep -q "host.sh  $2 "; } 2>/dev/null # PID VERB
timer_runs() { [ -e "$run/timer.$1" ] && read -r pid <"$run/timer.$1" && runs "$pid" "expire $1"; } 2>/dev/null # ID

start_timer() { # ID SECONDS
	# In a unit of its own it outlives the login; interfaces that it starts outlive it.
	if systemd_runs && have systemd-run &&
		systemd-run -q --collect -p KillMode=process --unit="wgfleet-timer-$1" sh "$stage/host.sh" "" expire "$1" "$2" 2>/dev/null; then
		:
	else
		setsid sh "$stage/host.sh" "" expire "$1" "$2" </dev/null >/dev/null 2>&1 &
	fi
	n=0 # it writes its own pid, and a loaded host takes its time
	until timer_runs "$1"; do
		[ $n -lt 200 ] || return 1
		n=$((n + 1)); sleep 0.05
	done
}

stop_timer() { # ID: the plain timer leads a session of its own
	! timer_runs "$1" || kill -TERM "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null
	rm -f "$run/timer.$1"
}

too_late() { # ID HOW: takes back what nobody takes back any more
	printf 'failed 0 an unconfirmed change (%s)%s was rolled back only now (%s); plan again\n' "$1" "$2" "$(revert "$1")"
}

clean_up() { # what a kill or a crash left behind; fails where this apply ends with that
	for f in "$run"/reverting.*; do
		[ -e "$f" ] || continue
		claim_of "$f" reverting
		# Who claimed it may be at it just now, or its timer.
		if lives "$by" || timer_runs "$id"; then say "busy $id"; return 1; fi
		mv "$f" "$run/reverting.$id.$(myself)" 2>/dev/null || { say "busy $id"; return 1; }
		too_late "$id" ""
		return 1
	done
	for f in "$run"/confirmed.*; do
		[ -e "$f" ] || continue
		claim_of "$f" confirmed
		! lives "$by" || { say "busy $id"; return 1; }
		mv "$f" "$run/confirmed.$id.$(myself)" 2>/dev/null || { say "busy $id"; return 1; }
		keep "$id" >/dev/null
	done
	if [ -e $armed ] && armed_id && { [ -d "$run/$d" ] || [ -e "$run/armed.$d" ] || timer_runs "$d"; }; then
		id=$d
		! timer_runs "$id" || { say "busy $id"; return 1; }
		if [ ! -e "$run/armed.$id" ]; then
			# Claimed meanwhile, or armed by a version that had this one name only.
			! claimed "$id" || { say "busy $id"; return 1; }
			ln $armed "$run/armed.$id" 2>/dev/null
			d=
			read -r d 2>/dev/null <"$run/armed.$id"
			[ "$d" = "$id" ] || { rm -f "$run/armed.$id"; say "busy $id"; return 1; }
		fi
		claim "$id" reverting || { say "busy $id"; return 1; }
		too_late "$id" " without a timer"
		return 1
	elif [ -e $armed ]; then
		mv $armed "$run/damaged.$$" 2>/dev/null || { say "busy another"; return 1; }
		if read -r d 2>/dev/null <"$run/damaged.$$" && [ -e "$run/armed.$d" ]; then
			# Another apply armed just now.
			ln "$run/damaged.$$" $armed 2>/dev/null
			rm -f "$run/damaged.$$"
			say "busy $d"
			return 1
		fi
		rm -rf "$run/damaged.$$"
		say "failed 0 $armed named no change, as a full disk or a crash leaves it, and kept every change out; it is removed now, so apply again"
		return 1
	fi
	for f in "$run"/*/ops; do
		[ -e "$f" ] || continue
		id=${f%/ops} id=${id##*/}
		# Another apply may be about to arm it.
		timer_runs "$id" || { [ -e "$run/$id/apply" ] && read -r by <"$run/$id/apply" && lives "$by"; } || finish "$id"
	done
}

tidy() { # ID, which is armed: so nothing that lies about belongs to another change
	rm -f /etc/wireguard/.*.wgfleet /etc/sysctl.d/.*.wgfleet /etc/systemd/system/.*.wgfleet \
		/etc/systemd/system/*.service.d/.*.wgfleet /var/lib/wgfleet/.*.wgfleet \
		/etc/wireguard/*.wgfleet-old /etc/sysctl.d/*.wgfleet-old /etc/systemd/system/*.wgfleet-old \
		/etc/systemd/system/*.service.d/*.wgfleet-old
	rm -f "$run"/reverted.* "$run"/arming.* "$run"/host.sh "$run"/host.sh.*
	for f in "$run"/armed.*; do
		# Another apply is about to be refused, or was killed there.
		[ ! -e "$f" ] || [ "$f" = "$run/armed.$1" ] || timer_runs "${f#"$run"/armed.}" || rm -f "$f"
	done
}

compare() { # whether the host is still what the plan saw
	read -r expected <"$stage/expect" || return 1
	observe <"$stage/observe" | sed -n 's/^digest \([0-9a-f]*\)$/\1/p' >"$stage/digest"
	read -r found <"$stage/digest" && [ "$found" = "$expected" ]
}

apply() { # ID SECONDS
	mkdir -p $run && chmod 700 $run
	clean_up || return 0
	stage=$run/$1
	if ! { rm -rf "$stage" && mkdir "$stage" && myself >"$stage/apply"; } 2>/dev/null; then
		rm -rf "$stage"
		say "failed 0 stage: cannot write $run$(full)"
		return 1
	fi
	awk -v folder="$stage" '
		/^=== end$/ { whole = 1; exit }
		/^=== [a-z0-9][a-zA-Z0-9._=+-]*$/ { if (out != "") close(out); out = folder "/" $2; printf "" > out; next }
		/^ / && out != "" { print substr($0, 2) > out; next }
		{ exit }
		END { exit !whole }' 2>"$stage/said"
	whole=$?
	# What did not fit there does not fit here either.
	if ! { [ -s "$stage/apply" ] && make_room $(($(size_of "$stage") + 128)); }; then
		finish "$1"
		say "failed 0 stage: ${reason:-cannot write $run$(full)}"
		return 1
	fi
	[ $whole = 0 ] || { finish "$1"; say "failed 0 stage: the payload did not arrive whole"; return 1; }
	: >>"$stage/undo"
	[ -e "$stage/ops" ] || { finish "$1"; say "failed 0 stage: the payload has no operations"; return 1; }
	# Its own: a running shell reads its script as it goes, and another version may come meanwhile.
	rm -f "$stage/room"
	if ! { printf '%s\n' "$self" >"$stage/host.sh" && printf '%s\n' "$1" >"$run/armed.$1"; } 2>/dev/null; then
		finish "$1"
		say "failed 0 stage: cannot write $run$(full)"
		return 1
	fi
	# The timer before the lock: what is armed has one.
	if ! start_timer "$1" "$2"; then
		stop_timer "$1"; finish "$1"
		say "failed 0 timer: it does not start$(full)"
		return 1
	fi
	if ! ln "$run/armed.$1" $armed 2>/dev/null; then
		stop_timer "$1"; finish "$1"
		if armed_id; then say "busy $d"; else say "failed 0 timer: the deadline passed before anything was done"; fi
		return 0
	fi
	tidy "$1"
	if [ -e "$stage/expect" ]; then
		within "$2" "$1" compare || {
			found=
			read -r found 2>/dev/null <"$stage/digest" || :
			disarm "$1"
			say "moved ${found:-unknown}"
			return 0
		}
	fi
	within "$2" "$1" snapshot || {
		reason=$(full $?)
		disarm "$1"
		say "failed 0 snapshot: the present state cannot be saved$reason"
		return 1
	}
	# In a session of its own: neither a lost login nor a killed shell stops it half-way, and the timer
	# can end it together with all that it runs.
	setsid sh "$stage/host.sh" "" work "$1" </dev/null 2>/dev/null
	case $? in
	0) say "done"; return 0 ;;
	1) ;;
	*) say "failed - the operations were interrupted$(full)" ;;
	esac
	! claim "$1" reverting || { stop_timer "$1"; revert "$1"; }
	return 0
}

work() { # ID
	stage=$run/$1
	say $$ >"$stage/worker" || exit 2
	do_ops "$1"
}

expire() { # ID SECONDS
	say $$ >"$run/timer.$1"
	# Memory that runs out must not take it.
	say -900 >/proc/$$/oom_score_adj
	sleep "$2"
	if claim "$1" reverting; then revert "$1" >"$run/reverted.$1"; else rm -f "$run/timer.$1"; fi
} 2>/dev/null

case $verb in
observe) observe ;;
agent) push_agent "$@" ;;
apply) apply "$@" ;;
confirm) if claim "$1" confirmed; then stop_timer "$1"; keep "$1"; else say gone; fi ;;
revert) if claim "$1" reverting; then stop_timer "$1"; revert "$1"; else say gone; fi ;;
work) work "$1" ;;
step) step "$@" ;;
expire) expire "$@" ;;
*) say "unknown verb"; exit 64 ;;
esac
exit
