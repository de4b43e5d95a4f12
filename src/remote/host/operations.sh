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

start_tunnel() { # IF: under systemd it makes itself a service of its own
	"$helper" tunnel "$1" </dev/null
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

try_set() { # FILE: whether wg understands it
	# wg reads all of it, names of endpoints too, before it finds that there is no such interface. What
	# it says of a line may hold a key.
	! have_wg || ! wg setconf "try-$$" "$1" 2>&1 | awk '
		/^(Name or service|Temporary failure|No address)/ { name = $0 }
		/^Configuration parsing error/ { print name == "" ? "wg does not understand it" : name; bad = 1 }
		END { exit !bad }'
}

try_file() { # STAGED IF: whether wg-quick understands it, and whether the programs of its hooks are there
	mkdir -p "$stage/try" && cp "$1" "$stage/try/$2.conf" && quick strip "$stage/try/$2.conf" >"$stage/try/set" || return 1
	try_set "$stage/try/set" || return 1
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
	snapshot_keep) snapshot_keep ;;
	rehearse) rehearse ;;
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

