# The host's side of wgfleet: POSIX sh, static text. Everything that varies comes on stdin, never
# through this text, so that nothing in an inventory can become a command, and no secret is ever in
# an argument. Arguments: this text itself, a verb, its plain words.
#
#   observe              stdin: fingerprint key, then "interface NAME" lines; stdout: see observed/parse.rs
#   agent MACHINE SHA    stdin: the binary
#   apply ID SECONDS     stdin: payload (files, "ops" and "undo"); arms the timer, then does the ops
#   confirm ID           keeps what `apply` did
#   revert ID            takes it back now
#   expire ID SECONDS    the timer's own verb
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
wg() { if have_wg; then command wg "$@"; else "$agent" wg "$@"; fi; }
have_any_wg() { have_wg || [ -x "$agent" ]; }
quick() { # up|down IF, whichever of wg-quick and wgfleet is there
	if have wg-quick; then command wg-quick "$@"; else "$agent" quick "$@"; fi
}
link() { [ -e "/sys/class/net/$1" ]; }
yes_no() { if "$@"; then echo yes; else echo no; fi; }
systemd_runs() { [ -d /run/systemd/system ]; }
kernel_has() { [ -d /sys/module/wireguard ] || modprobe -nq wireguard 2>/dev/null; }

# ------------------------------------------------------------------------------------- observe
digest() { { printf %s "$key"; cat "$1"; } | sha256sum | cut -d ' ' -f 1; }

show_file() { # PATH: head line, then the content without secrets
	[ -f "$1" ] && [ ! -L "$1" ] || return 0
	# shellcheck disable=SC2046 # two words are wanted
	set -- "$1" $(stat -c '%a %u' "$1")
	owner=no; [ "$3" = 0 ] && owner=yes
	echo "file $2 $owner $(digest "$1") $1"
	awk '{
		if (tolower($0) ~ /^[ \t]*(privatekey|presharedkey)[ \t]*=/) { match($0, /=[ \t]*/); $0 = substr($0, 1, RSTART + RLENGTH - 1) "(hidden)" }
		gsub(/[[:cntrl:]]/, "?"); print "| " $0 }' "$1"
}

embedded() { # IF: the mark holds the process id of wgfleet's own tunnel
	read -r pid 2>/dev/null <"/run/wireguard/$1.wgfleet" && [ -d "/proc/$pid" ]
}

show_link() { # IF
	l=$(ip -o -d link show dev "$1" 2>/dev/null) || return 0
	kind=userspace
	case $l in *' wireguard '*) kind=kernel ;; *) ! embedded "$1" || kind=embedded ;; esac
	up=no; case $l in *[\<,]UP[,\>]*) up=yes ;; esac
	mtu=${l#* mtu }; mtu=${mtu%% *}
	echo "interface $1 $kind $up $mtu"
	ip -o addr show dev "$1" | awk -v i="$1" '{ print "address", i, $4 }'
	for f in 4 6; do
		ip "-$f" route show table all dev "$1" 2>/dev/null | awk -v i="$1" -v f="$f" '
			/proto kernel/ || /^(local|broadcast|multicast|anycast|unreachable|blackhole|prohibit) / { next }
			{ t = "main"; for (n = 2; n < NF; n++) if ($n == "table") t = $(n + 1); print "route", i, f, t, $1 }'
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
	[ ! -x $agent ] || { read -r d _ <$lib/wgfleet.sha256 && echo "agent $d"; } 2>/dev/null
	echo "forward4 $(cat /proc/sys/net/ipv4/ip_forward)"
	f=0; [ ! -e /proc/sys/net/ipv6/conf/all/forwarding ] || f=$(cat /proc/sys/net/ipv6/conf/all/forwarding)
	[ "$f" = 0 ] || f=1
	echo "forward6 $f"
	[ ! -e $armed ] || { read -r d <$armed && ticking "$d" && echo "armed $d"; }
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
		dump=$(wg show all dump 2>/dev/null) || dump=
		confs=
		for i in $(wg show interfaces 2>/dev/null); do
			show_link "$i"
			[ ! -f "/etc/wireguard/$i.conf" ] || confs="$confs /etc/wireguard/$i.conf"
		done
		# Private keys end here; preshared keys are compared here.
		# shellcheck disable=SC2086 # one word for each file
		[ -z "$dump" ] || printf '%s\n' "$dump" | awk -F '\t' '
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
			NF == 5 { print "device", $1, $3, $4, $5 }
			NF == 9 {
				state = "none"; if ($3 != "(none)") state = inconf[$1, $2] == $3 ? "as-file" : "other"
				print "peer\t" $1 "\t" $2 "\t" state "\t" $4 "\t" $5 "\t" $6 "\t" $7 "\t" $8 "\t" $9
			}' $confs -
	fi
	echo end
}

# --------------------------------------------------------------------------------------- agent
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
	echo "$d" >$lib/wgfleet.sha256
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

install_file() { # STAGED MODE PATH
	mkdir -p "${3%/*}"
	tmp=${3%/*}/.${3##*/}.wgfleet
	cp "$1" "$tmp" && chmod "$2" "$tmp" && chown 0:0 "$tmp" && { sync "$tmp" 2>/dev/null || sync; } && mv -f "$tmp" "$3"
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
	no-psk) wg set "$1" peer "$2" preshared-key /dev/null ;;
	batch) ip -batch "$stage/$1" ;;
	batch-force) ip -force -batch "$stage/$1" ;;
	quick-up) backend_env "$2"; quick up "$1" </dev/null ;;
	quick-down) quick down "$1" </dev/null; wait_gone "$1" ;;
	file) install_file "$stage/$1" "$2" "$3" ;;
	protect) chmod "$1" "$2" && chown 0:0 "$2" ;;
	remove) rm -f "$1"; rmdir "${1%/*}" 2>/dev/null || : ;;
	sysctl) echo "$2" >"/proc/sys/$1" ;;
	nft) nft -f "$stage/$1" ;;
	nft-delete) nft delete table inet wgfleet ;;
	reload) systemctl daemon-reload ;;
	enable) systemctl -q enable "$1" ;;
	disable) systemctl -q disable "$1" ;;
	start) systemctl start "$1" ;;
	stop) systemctl stop "$1" ;;
	touch) ;;
	*) echo "unknown operation $verb"; return 1 ;;
	esac
}

# What an operation says must not carry a key.
no_keys() { sed 's#[A-Za-z0-9+/]\{43\}=#(key)#g' | tr '\n\t' '  ' | tr -d '[:cntrl:]' | cut -c 1-400; }

do_ops() { # FILE: stops at the first failure; says which
	n=0
	while read -r line; do
		n=$((n + 1))
		# shellcheck disable=SC2086 # the words hold no blanks and no patterns
		# Not $(…): a daemon that is started here would keep the pipe open.
		if ! (set -f; op $line) >"$stage/said" 2>&1 </dev/null; then
			echo "failed $n ${line%% *}: $(no_keys <"$stage/said")"
			return 1
		fi
	done <"$1"
}

# ------------------------------------------------------------------------------ snapshot, revert
snapshot() {
	mkdir -p "$stage/old"
	while read -r verb a b c _; do
		case $verb in
		touch)
			if link "$a"; then wg showconf "$a" >"$stage/old/$a.live" || return 1; else : >"$stage/old/$a.absent"; fi
			;;
		file) old_file "$c" ;;
		remove) old_file "$a" ;;
		protect) old_file "$b" ;;
		sysctl) old=$(cat "/proc/sys/$a") && echo "$a $old" >>"$stage/old/sysctls" ;; # read(1) stops after one byte there
		nft | nft-delete) nft list table inet wgfleet >"$stage/old/nft" 2>/dev/null || : >"$stage/old/nft" ;;
		esac
	done <"$stage/ops"
	:
}

old_file() { # PATH
	files=$((${files:-0} + 1))
	if [ -e "$1" ]; then cp -p "$1" "$stage/old/file.$files"; echo "$files $1" >>"$stage/old/files"; else echo "- $1" >>"$stage/old/files"; fi
}

live_sum() { wg showconf "$1" | grep -v '^Endpoint' | sort | sha256sum; }

revert() { # takes everything back and says whether that was seen
	bad=
	while read -r line; do
		# shellcheck disable=SC2086 # the words hold no blanks and no patterns
		(set -f; op $line) >/dev/null 2>&1 </dev/null || :
	done <"$stage/undo"
	if [ -e "$stage/old/files" ]; then
		while read -r n path; do
			if [ "$n" = - ]; then rm -f "$path"; rmdir "${path%/*}" 2>/dev/null
			else mkdir -p "${path%/*}"; cp -p "$stage/old/file.$n" "$path.wgfleet-old" && mv -f "$path.wgfleet-old" "$path" || bad="$bad $path"; fi
		done <"$stage/old/files"
		! systemd_runs || systemctl daemon-reload
	fi
	if [ -e "$stage/old/nft" ]; then
		nft delete table inet wgfleet 2>/dev/null
		[ ! -s "$stage/old/nft" ] || nft -f "$stage/old/nft" || bad="$bad nft"
	fi
	if [ -e "$stage/old/sysctls" ]; then
		while read -r name value; do echo "$value" >"/proc/sys/$name" || bad="$bad $name"; done <"$stage/old/sysctls"
	fi
	for f in "$stage"/old/*.absent; do
		[ -e "$f" ] || continue
		i=${f##*/} i=${i%.absent}
		op delete "$i" >/dev/null 2>&1
		! link "$i" || bad="$bad $i"
	done
	for f in "$stage"/old/*.live; do
		[ -e "$f" ] || continue
		i=${f##*/} i=${i%.live}
		if ! link "$i"; then quick up "$i" >/dev/null 2>&1 </dev/null; fi
		wg syncconf "$i" "$f" 2>/dev/null
		grep -v '^Endpoint' "$f" | sort | sha256sum >"$stage/sum"
		live_sum "$i" | cmp -s - "$stage/sum" || bad="$bad $i"
	done
	rm -rf "$stage"
	if [ -z "$bad" ]; then echo "reverted"; else echo "unverified$bad"; fi
}

# -------------------------------------------------------------------------------- apply, confirm
# The change is armed while $armed names it. Whoever renames that file decides: confirm or revert.
claim() { [ -e $armed ] && read -r d <$armed && [ "$d" = "$1" ] && mv $armed "$run/claimed.$$" 2>/dev/null && rm -f "$run/claimed.$$"; }

apply() { # ID SECONDS
	stage=$run/$1
	mkdir -p $run && chmod 700 $run
	if [ -e $armed ] && read -r d <$armed; then
		if ticking "$d"; then echo "busy $d"; return 0; fi
		# Its timer died with whatever killed it; nobody else takes that change back.
		stage=$run/$d
		! claim "$d" || echo "failed 0 an earlier change ($d) was left behind and is taken back now: $(revert); plan again"
		return 0
	fi
	if ! { rm -rf "$stage" && mkdir "$stage"; }; then echo "failed 0 stage: cannot write $run"; return 1; fi
	awk -v folder="$stage" '
		/^=== end$/ { whole = 1; exit }
		/^=== [a-z0-9][a-zA-Z0-9._=+-]*$/ { if (out != "") close(out); out = folder "/" $2; printf "" > out; next }
		/^ / && out != "" { print substr($0, 2) > out; next }
		{ exit }
		END { exit !whole }' || { rm -rf "$stage"; echo "failed 0 stage: the payload did not arrive whole"; return 1; }
	: >>"$stage/undo"
	snapshot || { rm -rf "$stage"; echo "failed 0 snapshot: the present state cannot be saved"; return 1; }
	printf '%s\n' "$self" >$run/host.sh
	if ! (set -C; echo "$1" >$armed) 2>/dev/null; then rm -rf "$stage"; echo "busy other"; return 0; fi
	if systemd_runs && have systemd-run; then
		systemd-run -q --collect --unit="wgfleet-timer-$1" sh $run/host.sh "" expire "$1" "$2" 2>/dev/null || timer "$1" "$2"
	else
		timer "$1" "$2"
	fi
	n=0
	while ! ticking "$1" && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.02; done
	if ! ticking "$1"; then
		! claim "$1" || rm -rf "$stage"
		echo "failed 0 the timer that would take the change back does not start"
		return 0
	fi
	if said=$(do_ops "$stage/ops"); then
		echo "done"
	else
		echo "$said"
		! claim "$1" || { stop_timer "$1"; revert; }
		return 0
	fi
}

ticking() { # ID: whether the timer of a change lives
	read -r id pid 2>/dev/null <$run/timer && [ "$id" = "$1" ] && [ -d "/proc/$pid" ]
}

timer() { setsid sh $run/host.sh "" expire "$1" "$2" </dev/null >/dev/null 2>&1 & }

stop_timer() { # ID: the plain timer sleeps in a session of its own, led by its shell
	! systemd_runs || systemctl -q stop "wgfleet-timer-$1.timer" "wgfleet-timer-$1.service" 2>/dev/null
	[ -e "$run/timer" ] && read -r id pid <"$run/timer" && [ "$id" = "$1" ] || return 0
	tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q "expire $1" && kill -TERM "-$pid" 2>/dev/null
	rm -f "$run/timer"
}

confirm() { # ID
	stage=$run/$1
	if claim "$1"; then stop_timer "$1"; rm -rf "$stage"; echo confirmed; else echo gone; fi
}

case $verb in
observe) observe ;;
agent) push_agent "$@" ;;
apply) apply "$@" ;;
confirm) confirm "$1" ;;
revert) stage=$run/$1; if claim "$1"; then stop_timer "$1"; revert; else echo gone; fi ;;
expire) echo "$1 $$" >$run/timer; sleep "$2"; stage=$run/$1; ! claim "$1" || revert >"$run/reverted.$1" ;;
*) echo "unknown verb"; exit 64 ;;
esac
