# The host's side of wgfleet: POSIX sh, static text. Everything that varies comes on stdin, never
# through this text, so that nothing in an inventory can become a command, and no secret is ever in
# an argument. Arguments: this text itself, a verb, its plain words.
#
#   observe              stdin: fingerprint key, then "interface NAME" lines; stdout: see observed/parse.rs
#   agent MACHINE SHA    stdin: the binary
#   apply ID SECONDS     stdin: payload (files, "ops", "keep" and "undo"); arms the timer, then does the ops
#   confirm ID           keeps what `apply` did: only now, with "keep", does the next boot change
#   revert ID            takes it back now
#   expire ID SECONDS    the timer's own verb
#   work ID              does the operations of an armed change, in a session of its own
#
# In /run/wgfleet: ID/ has what was sent and, in old/, what was there before; timer.ID the pid of its
# timer; `armed` names the change that is armed. Whoever renames `armed` decides between keeping and
# taking back, and what a kill leaves behind is finished by the next `apply`.
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

have() { command -v "$1" >/dev/null 2>&1; }
wg_path=$(command -v wg || echo none)
have_wg() { [ "$wg_path" != none ]; }
stand_in=$agent
wg() { if have_wg; then command wg "$@"; else "$stand_in" wg "$@"; fi; }
have_any_wg() { have_wg || [ -x "$agent" ]; }
quick() { # up|down IF, whichever of wg-quick and wgfleet is there
	if have wg-quick; then command wg-quick "$@"; else "$agent" quick "$@"; fi
}
link() { ip link show dev "$1" >/dev/null 2>&1; } # /sys may show another namespace's
yes_no() { if "$@"; then echo yes; else echo no; fi; }
systemd_runs() { [ -d /run/systemd/system ]; }
# shellcheck disable=SC2317 # called through yes_no
kernel_has() { [ -d /sys/module/wireguard ] || modprobe -nq wireguard 2>/dev/null; }

# ------------------------------------------------------------------------------------- observe
digest() { { printf %s "$key"; cat "$1"; } | sha256sum | cut -d ' ' -f 1; }

show_file() { # PATH: head line, then the content without secrets
	[ -f "$1" ] && [ ! -L "$1" ] || return 0
	# shellcheck disable=SC2046 # two words are wanted
	set -- "$1" $(stat -c '%a %u' "$1")
	owner=no; [ "$3" = 0 ] && owner=yes
	echo "file $2 $owner $(digest "$1") $1"
	# Settings, and whatever is a key within a comment.
	awk 'BEGIN { for (n = 0; n < 43; n++) key = key "[A-Za-z0-9+/]"; key = key "=" }
	{
		if (tolower($0) ~ /^[ \t]*(privatekey|presharedkey)[ \t]*=/) { match($0, /=[ \t]*/); $0 = substr($0, 1, RSTART + RLENGTH - 1) "(hidden)" }
		if (c = index($0, "#")) { said = substr($0, c); gsub(key, "(key)", said); $0 = substr($0, 1, c - 1) said }
		gsub(/[[:cntrl:]]/, "?"); print "| " $0 }' "$1"
}

embedded() { # IF: the mark holds the process id of wgfleet's own tunnel
	read -r p 2>/dev/null <"/run/wireguard/$1.wgfleet" && [ -d "/proc/$p" ]
}

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
		case $(cat "/proc/sys/net/ipv6/conf/$i/accept_ra" 2>/dev/null) in 1 | 2) echo "advertised $i" ;; esac
	done
}

show_link() { # IF
	read_link "$1" || return 1
	echo "interface $1 $kind $up $mtu"
	ip -o addr show dev "$1" | awk -v i="$1" '{ print "address", i, $4 }'
	for f in 4 6; do
		ip "-$f" route show table all dev "$1" 2>/dev/null | awk -v i="$1" -v f="$f" -v names="$names" '
			BEGIN { k = split(names, all, " "); for (n = 1; n <= k; n++) { split(all[n], one, "="); number[one[1]] = one[2] } }
			/proto kernel/ || $1 !~ /^(default|[0-9a-f:.]+(\/[0-9]+)?)$/ { next }
			{ t = "main"; for (n = 2; n < NF; n++) if ($n == "table") t = $(n + 1); if (t in number) t = number[t]; print "route", i, f, t, $1 }'
	done
}

observe() {
	read -r key || exit 9
	wanted=
	while read -r word name; do [ "$word" != interface ] || wanted="$wanted $name"; done
	echo observe 1
	echo "now $(date +%s)"
	echo "machine $(uname -m)"
	echo "kernel $(uname -r)"
	echo "systemd $(yes_no systemd_runs)"
	echo "kernel-wireguard $(yes_no kernel_has)"
	echo "tun $(yes_no test -c /dev/net/tun)"
	for t in wg-quick ip nft resolvconf wireguard-go systemctl; do ! have $t || echo "tool $t"; done
	! have_wg || echo tool wg
	! agent_digest || echo "agent $d"
	echo "forward4 $(cat /proc/sys/net/ipv4/ip_forward)"
	f=0; [ ! -e /proc/sys/net/ipv6/conf/all/forwarding ] || f=$(cat /proc/sys/net/ipv6/conf/all/forwarding)
	[ "$f" = 0 ] || f=1
	echo "forward6 $f"
	advertised
	! armed_id || ! timer_runs "$d" || echo "armed $d"
	for f in "$run"/reverting.*; do # on its way back
		d=${f#"$run"/reverting.}
		! timer_runs "$d" || echo "armed $d"
	done
	if have nft; then
		d=$(nft list table inet wgfleet 2>/dev/null | sed -n 's/.*comment "wgfleet-\([0-9a-f]*\)".*/\1/p' | sort -u | head -n 2 | tr '\n' ,)
		[ -z "$d" ] || echo "firewall ${d%,}"
	fi
	units=
	for f in /etc/wireguard/*.conf; do
		[ -f "$f" ] || continue
		i=${f##*/} i=${i%.conf}
		case " $wanted " in *" $i "*) ;; *) grep -q 'Managed by wgfleet' "$f" || continue; wanted="$wanted $i" ;; esac
		show_file "$f"
	done
	for f in /etc/wireguard/wgfleet.nft /etc/sysctl.d/60-wgfleet.conf /etc/systemd/system/wg-quick@*.service.d/wgfleet.conf /etc/systemd/system/wgfleet-*.service; do
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
				echo "unit $u $e $a"
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
			[ ! -f "/etc/wireguard/$i.conf" ] || confs="$confs /etc/wireguard/$i.conf"
		done
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
			! embedded "$i" || "/proc/$p/exe" wg show "$i" dropped | awk -v i="$i" 'NF == 3 { print "dropped", i, $1, $2, $3 }'
		done 2>/dev/null
	fi
	echo end
}

# --------------------------------------------------------------------------------------- agent
find_stand_in() { # where the file is damaged, what still runs of it can tell
	! have_wg && ! wg show interfaces >/dev/null 2>&1 || return 0
	for f in /run/wireguard/*.wgfleet; do
		if read -r p && "/proc/$p/exe" wg show interfaces; then stand_in=/proc/$p/exe; return 0; fi 2>/dev/null <"$f" >/dev/null
	done
}

agent_stamp() { stat -L -c '%s-%Y-%Z-%a-%u' $agent; }

agent_digest() { # sets d; the stamp saves reading the whole binary unless something has touched it
	[ -x $agent ] && read -r d s <$lib/wgfleet.sha256 || return 1
	[ "$s" = "$(agent_stamp)" ] || d=$(sha256sum <$agent) d=${d%% *}
} 2>/dev/null

push_agent() { # MACHINE SHA
	[ "$(uname -m)" = "$1" ] || { echo "failed the host is not $1"; return 1; }
	umask 022
	mkdir -p $lib
	tmp=$lib/.wgfleet.$$
	cat >$tmp || { rm -f $tmp; echo "failed cannot write $lib: $(df -k $lib | awk 'END { print $4 }') KiB are free"; return 1; }
	d=$(sha256sum $tmp | cut -d ' ' -f 1)
	[ "$d" = "$2" ] || { rm -f $tmp; echo "failed the binary arrived damaged"; return 1; }
	chmod 755 $tmp
	$tmp --version >/dev/null 2>&1 || { rm -f $tmp; echo "failed the binary does not run here"; return 1; }
	sync $tmp 2>/dev/null || sync
	mv -f $tmp $agent
	for n in wgfleet-tunnel wg wg-quick; do ln -sfn wgfleet $lib/$n; done
	echo "$d $(agent_stamp)" >$lib/wgfleet.sha256
	echo 'done'
}

# ---------------------------------------------------------------------------------- operations
wait_gone() { # IF: a userspace daemon ends a moment after its link
	n=0
	while { link "$1" || [ -S "/run/wireguard/$1.sock" ]; } && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.05; done
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

make_dir() { # PATH: only what holds keys is closed
	case $1 in /etc/wireguard) mkdir -p "$1" ;; *) (umask 022 && mkdir -p "$1") ;; esac
}

beside() { tmp=${1%/*}/.${1##*/}.wgfleet; } # PATH: sets the name under which its next content waits

prepare_file() { # STAGED MODE PATH: all that can fail, a full disk above all
	make_dir "${3%/*}"
	beside "$3"
	cp "$1" "$tmp" && chmod "$2" "$tmp" && chown 0:0 "$tmp" && { sync "$tmp" 2>/dev/null || sync; }
}

install_file() { # STAGED MODE PATH
	prepare_file "$@" && mv -f "$tmp" "$3"
}

keep_file() { # STAGED MODE PATH: what was prepared
	beside "$3"
	if [ -e "$tmp" ]; then mv -f "$tmp" "$3"; else install_file "$@"; fi
}

op() { # one operation, its words already split
	verb=$1
	shift
	case $verb in
	create)
		case $2 in
		kernel) ip link add dev "$1" type wireguard ;;
		embedded) "$agent" tunnel "$1" </dev/null ;;
		userspace) wireguard-go "$1" </dev/null ;;
		esac
		;;
	delete) ! link "$1" || { ip link del dev "$1" && wait_gone "$1"; } ;;
	setconf) wg setconf "$1" "$stage/$2" ;;
	addconf) wg addconf "$1" "$stage/$2" ;;
	forget) i=$1; shift; n=$#; while [ "$n" -gt 0 ]; do set -- "$@" peer "$1" remove; shift; n=$((n - 1)); done; wg set "$i" "$@" ;;
	private) wg set "$1" private-key "$stage/$2" ;;
	port) wg set "$1" listen-port "$2" ;;
	fwmark) wg set "$1" fwmark "$2" ;;
	keepalive) wg set "$1" peer "$2" persistent-keepalive "$3" ;;
	endpoint) wg set "$1" peer "$2" endpoint "$3" ;;
	psk) wg set "$1" peer "$2" preshared-key "$stage/$3" ;;
	no-psk) wg set "$1" peer "$2" preshared-key /dev/null ;;
	batch) ip -batch "$stage/$1" ;;
	drop) ip -force -batch "$stage/$1"; : ;; # what went along with something else is gone already
	quick-up) backend_env "$2"; quick up "$1" </dev/null ;;
	quick-down) quick down "$1" </dev/null; if link "$1"; then op delete "$1"; else wait_gone "$1"; fi ;;
	file) install_file "$stage/$1" "$2" "$3" ;;
	prepare) prepare_file "$stage/$1" "$2" "$3" ;;
	keep) keep_file "$stage/$1" "$2" "$3" ;;
	protect) chmod "$1" "$2" && chown 0:0 "$2" ;;
	remove) rm -f "$1"; case $1 in *.service.d/*) rmdir "${1%/*}" 2>/dev/null ;; esac; : ;;
	sysctl) echo "$2" >"/proc/sys/$1" ;;
	nft) nft -f "$stage/$1" ;;
	nft-delete) nft delete table inet wgfleet ;;
	reload) systemctl daemon-reload ;;
	enable) systemctl -q enable "$1" ;;
	disable) systemctl -q disable "$1" ;;
	start) systemctl start "$1" ;;
	restart) systemctl restart "$1" ;;
	stop) systemctl stop "$1" ;;
	touch) ;;
	*) echo "unknown operation $verb"; return 1 ;;
	esac
}

# What an operation says must not carry a key.
no_keys() { sed 's#[A-Za-z0-9+/]\{43\}=#(key)#g' | tr '\n\t' '  ' | tr -d '[:cntrl:]' | cut -c 1-400; }

do_ops() { # ID: stops at the first failure, and says which; stops where the change is not armed any more
	n=0
	while read -r line; do
		n=$((n + 1))
		armed_id && [ "$d" = "$1" ] || return 2
		# shellcheck disable=SC2086 # the words hold no blanks and no patterns
		# Not $(…): a daemon that is started here would keep the pipe open.
		if ! (set -f; op $line) >"$stage/said" 2>&1 </dev/null; then
			echo "failed $n ${line%% *}: $(no_keys <"$stage/said")"
			return 1
		fi
	done <"$stage/ops"
}

# ------------------------------------------------------------------------------ snapshot, revert
show_net() { # IF: link, addresses and routes as lines that ip(8) takes back; link-local IPv6 is the kernel's
	read_link "$1" || return 1
	if [ "$up" = yes ]; then up=up; else up=down; fi
	echo "link set dev $1 mtu $mtu $up"
	ip -o addr show dev "$1" | awk -v i="$1" '
		$4 ~ /^fe80:/ { next }
		{ a = $4; if ($5 == "peer") a = a " peer " $6; print "address add " a " dev " i }'
	for f in 4 6; do
		ip "-$f" route show table all dev "$1" 2>/dev/null | awk -v i="$1" -v f="$f" '
			/proto kernel/ || /^(local|broadcast|multicast|anycast|unreachable|blackhole|prohibit|throw) / { next }
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
	mkdir "$stage/old"
	while read -r verb a b c _; do
		case $verb in
		touch)
			if link "$a"; then
				wg showconf "$a" >"$stage/old/$a.live" && show_net "$a" >"$stage/old/$a.net" || return 1
				echo "$kind" >"$stage/old/$a.kind"
			else
				: >"$stage/old/$a.absent"
			fi
			;;
		file) old_file "$c" || return 1 ;;
		prepare) old_folder "$c"; echo "$c" >>"$stage/old/prepared" ;;
		remove) old_file "$a" || return 1 ;;
		protect) old_file "$b" || return 1 ;;
		sysctl) old=$(cat "/proc/sys/$a") && echo "$a $old" >>"$stage/old/sysctls" ;; # read(1) stops after one byte there
		nft | nft-delete) nft list table inet wgfleet >"$stage/old/nft" 2>/dev/null || : >"$stage/old/nft" ;;
		enable | disable | start | stop | restart)
			echo "$a $(yes_no systemctl -q is-enabled "$a") $(yes_no systemctl -q is-active "$a")" >>"$stage/old/units"
			;;
		esac
	done <"$stage/ops"
	:
} 2>/dev/null

there() { [ -e "$1" ] || [ -L "$1" ]; }

old_folder() { [ -d "${1%/*}" ] || echo "${1%/*}" >>"$stage/old/dirs"; } # PATH

old_file() { # PATH
	files=$((${files:-0} + 1))
	old_folder "$1"
	if there "$1"; then cp -pP "$1" "$stage/old/file.$files" && echo "$files $1" >>"$stage/old/files"; else echo "- $1" >>"$stage/old/files"; fi
}

same_rules() { nft list table inet wgfleet 2>/dev/null | cmp -s - "$stage/old/nft"; }

old_files() { # puts files, and folders that were not there, back
	[ ! -e "$stage/old/prepared" ] || while read -r path; do beside "$path"; rm -f "$tmp"; done <"$stage/old/prepared"
	[ ! -e "$stage/old/files" ] || while read -r n path; do
		beside "$path"; rm -f "$tmp"
		make_dir "${path%/*}"
		if [ "$n" = - ]; then rm -f "$path"; ! there "$path" || bad="$bad $path"
		else
			cp -pP "$stage/old/file.$n" "$path.wgfleet-old" && mv -f "$path.wgfleet-old" "$path" || bad="$bad $path"
		fi
	done <"$stage/old/files"
	[ ! -e "$stage/old/dirs" ] || while read -r path; do rmdir "$path" 2>/dev/null; done <"$stage/old/dirs"
}

# A unit that the change started is stopped without its ExecStop: its interface may be older than it.
let_go() { # UNIT
	d=/run/systemd/system/$1.d
	mkdir -p "$d" && printf '[Service]\nExecStop=\nExecStopPost=\n' >"$d/zz-wgfleet.conf"
	chmod 755 "$d" && chmod 644 "$d/zz-wgfleet.conf"
	systemctl daemon-reload; systemctl -q stop "$1"
	rm -f "$d/zz-wgfleet.conf"; rmdir "$d"
	systemctl daemon-reload
} >/dev/null 2>&1

old_units() { # off|on: first what was off, and after the files what was on
	[ -e "$stage/old/units" ] || return 0
	while read -r u enabled active; do
		if [ "$1" = off ]; then
			[ "$enabled" = yes ] || systemctl -q disable "$u" 2>/dev/null
			[ "$active" = yes ] || ! systemctl -q is-active "$u" || let_go "$u"
		else
			[ "$enabled" = no ] || systemctl -q enable "$u" 2>/dev/null
			[ "$active" = no ] || systemctl -q start "$u" 2>/dev/null
			[ "$enabled $active" = "$(yes_no systemctl -q is-enabled "$u") $(yes_no systemctl -q is-active "$u")" ] 2>/dev/null || bad="$bad $u"
		fi
	done <"$stage/old/units"
}

old_link() { # IF, which was there
	read -r was <"$stage/old/$1.kind" || return 1
	if read_link "$1" && [ "$kind" != "$was" ]; then op delete "$1"; fi
	if ! link "$1"; then
		rm -f "/run/wireguard/$1.sock"
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
	wg syncconf "$1" "$stage/$1.back"
	settle_net "$1" && [ "$(conf_sum <"$stage/old/$1.live")" = "$(wg showconf "$1" | conf_sum)" ]
}

# An endpoint moves by itself.
conf_sum() { grep -v '^Endpoint' | sort | sha256sum; }

stop_work() { # no operation may come after the way back has begun
	[ -e "$stage/worker" ] && read -r pid <"$stage/worker" || return 0
	! runs "$pid" work || kill -KILL "-$pid"
	n=0
	while runs "$pid" work && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.05; done
} 2>/dev/null

revert() { # ID, already claimed: takes everything back and says whether that was seen; can be done again
	stage=$run/$1 bad=
	stop_work
	[ -d "$stage/old" ] || { finish "$1"; echo reverted; return; }
	! systemd_runs || old_units off
	while read -r line; do
		# shellcheck disable=SC2086 # the words hold no blanks and no patterns
		(set -f; op $line) >/dev/null 2>&1 </dev/null || :
	done <"$stage/undo"
	for f in "$stage"/old/*.absent; do
		[ -e "$f" ] || continue
		i=${f##*/} i=${i%.absent}
		if link "$i"; then (if [ -f "/etc/wireguard/$i.conf" ]; then op quick-down "$i"; else op delete "$i"; fi) >/dev/null 2>&1 </dev/null; fi
		rm -f "/run/wireguard/$i.sock"
		! link "$i" || bad="$bad $i"
	done
	old_files
	if systemd_runs; then systemctl daemon-reload; old_units on; fi
	for f in "$stage"/old/*.live; do
		[ -e "$f" ] || continue
		i=${f##*/} i=${i%.live}
		(old_link "$i") >/dev/null 2>&1 </dev/null || bad="$bad $i"
	done
	if [ -e "$stage/old/nft" ]; then
		# In one go: what passes just now is never without its rules.
		same_rules || { echo 'table inet wgfleet'; echo 'delete table inet wgfleet'; cat "$stage/old/nft"; } | nft -f -
		same_rules || bad="$bad nft"
	fi
	if [ -e "$stage/old/sysctls" ]; then
		while read -r name value; do
			echo "$value" >"/proc/sys/$name"
			[ "$(cat "/proc/sys/$name")" = "$value" ] || bad="$bad $name"
		done <"$stage/old/sysctls"
	fi
	finish "$1"
	if [ -z "$bad" ]; then echo "reverted"; else echo "unverified$bad"; fi
}

# ------------------------------------------------------------------------------ apply, confirm
armed_id() { [ -e $armed ] && read -r d <$armed; } 2>/dev/null

claim() { # ID WORD: only one of all who try succeeds
	armed_id && [ "$d" = "$1" ] && mv $armed "$run/$2.$1"
} 2>/dev/null

# What was confirmed is done for the next boot too; can be done again, where a kill came between.
keep() { # ID
	stage=$run/$1 bad=
	[ ! -e "$stage/keep" ] || while read -r line; do
		# shellcheck disable=SC2086 # the words hold no blanks and no patterns
		(set -f; op $line) >/dev/null 2>&1 </dev/null || bad="$bad ${line##* }"
	done <"$stage/keep"
	finish "$1"
	if [ -z "$bad" ]; then echo confirmed; else echo "confirmed, but not for the next boot:$bad"; fi
}

finish() { rm -rf "${run:?}/$1" "$run/timer.$1" "$run/reverting.$1" "$run/confirmed.$1"; } # ID

runs() { tr '\0' ' ' <"/proc/$1/cmdline" | grep -q "host.sh  $2 "; } 2>/dev/null # PID VERB
timer_runs() { [ -e "$run/timer.$1" ] && read -r pid <"$run/timer.$1" && runs "$pid" "expire $1"; } 2>/dev/null # ID

start_timer() { # ID SECONDS
	# In a unit of its own it outlives the login; interfaces that it starts outlive it.
	if systemd_runs && have systemd-run &&
		systemd-run -q --collect -p KillMode=process --unit="wgfleet-timer-$1" sh $run/host.sh "" expire "$1" "$2" 2>/dev/null; then
		:
	else
		setsid sh $run/host.sh "" expire "$1" "$2" </dev/null >/dev/null 2>&1 &
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

clean_up() { # what a kill or a crash left behind
	for f in "$run"/reverting.*; do
		[ -e "$f" ] || continue
		id=${f#"$run"/reverting.}
		# Its timer may be at it just now.
		! timer_runs "$id" || { echo "busy $id"; return 1; }
		echo "failed 0 an unconfirmed change ($id) was taken back only now ($(revert "$id")); plan again"
		return 1
	done
	if armed_id; then
		! timer_runs "$d" || { echo "busy $d"; return 1; }
		id=$d
		claim "$id" reverting || { echo "busy $id"; return 1; }
		echo "failed 0 an unconfirmed change ($id) without a timer was taken back only now ($(revert "$id")); plan again"
		return 1
	fi
	for f in "$run"/confirmed.*; do
		[ ! -e "$f" ] || keep "${f#"$run"/confirmed.}" >/dev/null
	done
	for f in "$run"/*/ops; do
		[ -e "$f" ] || continue
		id=${f%/ops} id=${id##*/}
		# Another apply may be about to arm it.
		timer_runs "$id" || { [ -e "$run/$id/apply" ] && read -r p <"$run/$id/apply" && [ -d "/proc/$p" ]; } || finish "$id"
	done
}

apply() { # ID SECONDS
	mkdir -p $run && chmod 700 $run
	clean_up || return 0
	stage=$run/$1
	rm -f /etc/wireguard/.*.wgfleet /etc/sysctl.d/.*.wgfleet # prepared before a power cut
	if ! { rm -rf "$stage" && mkdir "$stage" && echo $$ >"$stage/apply"; }; then echo "failed 0 stage: cannot write $run"; return 1; fi
	awk -v folder="$stage" '
		/^=== end$/ { whole = 1; exit }
		/^=== [a-z0-9][a-zA-Z0-9._=+-]*$/ { if (out != "") close(out); out = folder "/" $2; printf "" > out; next }
		/^ / && out != "" { print substr($0, 2) > out; next }
		{ exit }
		END { exit !whole }' || { finish "$1"; echo "failed 0 stage: the payload did not arrive whole"; return 1; }
	: >>"$stage/undo"
	[ -e "$stage/ops" ] || { finish "$1"; echo "failed 0 stage: the payload has no operations"; return 1; }
	# A running shell reads its script as it goes: never write into one.
	printf '%s\n' "$self" >"$run/host.sh.$1" && mv -f "$run/host.sh.$1" $run/host.sh
	start_timer "$1" "$2" || { stop_timer "$1"; finish "$1"; echo "failed 0 timer: it does not start"; return 1; }
	echo "$1" >"$run/arming.$1"
	won=$(yes_no ln "$run/arming.$1" $armed 2>/dev/null)
	rm -f "$run/arming.$1"
	if [ "$won" = no ]; then stop_timer "$1"; finish "$1"; armed_id || d=another; echo "busy $d"; return 0; fi
	if ! snapshot; then
		rm -f "$stage/keep"
		! claim "$1" confirmed || { stop_timer "$1"; finish "$1"; }
		echo "failed 0 snapshot: the present state cannot be saved"
		return 1
	fi
	# In a session of its own: neither a lost login nor a killed shell stops it half-way, and the timer
	# can end it together with all that it runs.
	setsid sh $run/host.sh "" work "$1" </dev/null
	case $? in
	0) echo "done"; return 0 ;;
	1) ;;
	*) echo "failed - the operations were cut short" ;;
	esac
	! claim "$1" reverting || { stop_timer "$1"; revert "$1"; }
	return 0
}

work() { # ID
	stage=$run/$1
	echo $$ >"$stage/worker"
	do_ops "$1"
}

expire() { # ID SECONDS
	echo $$ >"$run/timer.$1"
	sleep "$2"
	if claim "$1" reverting; then revert "$1" >"$run/reverted.$1"; else rm -f "$run/timer.$1"; fi
}

case $verb in
observe) observe ;;
agent) push_agent "$@" ;;
apply) apply "$@" ;;
confirm) if claim "$1" confirmed; then stop_timer "$1"; keep "$1"; else echo gone; fi ;;
revert) if claim "$1" reverting; then stop_timer "$1"; revert "$1"; else echo gone; fi ;;
work) work "$1" ;;
expire) expire "$@" ;;
*) echo "unknown verb"; exit 64 ;;
esac
exit
