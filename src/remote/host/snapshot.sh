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
	snapshot_of "$stage/ops" || return 1
	# What failed above for want of room fails here again.
	make_room $(($(size_of "$stage/old") * 2 + 32)) || return 3
	rm "$stage/saving"
} 2>/dev/null

snapshot_of() { # LIST of operations
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
		keep) old_file "$c" || return 1 ;;
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
	done <"$1"
}

# What `keep` is about to change, beside what the operations have changed: not what they had done already.
snapshot_keep() {
	files=0
	[ ! -e "$stage/old/files" ] || files=$(sed -n '$=' "$stage/old/files")
	while read -r verb a b c rest; do
		case $verb in keep) path=$c ;; remove) path=$a ;; protect) path=$b ;; *) path='' ;; esac
		[ -z "$path" ] || ! grep -q "^[0-9-]* $path\$" "$stage/old/files" || continue
		say "$verb $a $b $c $rest"
	done <"$stage/keep" >"$stage/keeping"
	snapshot_of "$stage/keeping"
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

start_again() { # UNIT: what masks it again takes nothing from a unit that runs, and lets none start
	hidden=$(masks "$1") || hidden=
	for f in $hidden; do rm -f "$f"; done
	[ -z "$hidden" ] || systemctl daemon-reload
	systemctl -q start "$1"
	for f in $hidden; do ln -s /dev/null "$f"; done
	[ -z "$hidden" ] || systemctl daemon-reload
}

unit_on() { # UNIT ENABLED ACTIVE
	[ "$2" = no ] || systemctl -q enable "$1"
	[ "$3" = no ] || start_again "$1"
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
		# wg-quick takes the kernel's WireGuard where there is one, whatever carried the packets.
		if read_link "$1" && [ "$kind" != "$was" ]; then op quick-down "$1"; fi
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
	settle_net "$1" && [ "$kind" = "$was" ] && [ "$(conf_sum <"$stage/old/$1.live")" = "$(wg showconf "$1" | conf_sum)" ]
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
	# What was not begun is left alone.
	if [ -e "$stage/host.sh" ] && [ ! -e "$stage/begun" ]; then finish "$1"; say reverted; return; fi
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
	late='' known=$bad
	if systemd_runs; then
		within 20 "$1" op reload
		units 30 unit_on
		late=${bad#"$known"} bad=$known
	fi
	for f in "$stage"/old/*.live; do
		[ -e "$f" ] || continue
		i=${f##*/} i=${i%.live}
		within 30 "$1" old_link "$i" || bad="$bad $i"
	done
	# One that could not start its interface, whose file was lost before the change, takes what is there.
	[ -z "$late" ] || units 10 unit_on
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

