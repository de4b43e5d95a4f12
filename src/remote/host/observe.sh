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

# What stat(1) and sha256sum(1) say of all files, and of who this machine is. As few programs as it takes,
# here and below: each costs the host more than what it does, and so does each process of a shell, so none
# is started through a function. Of /proc/self stat(1) says when it began itself.
ask_of_files() { # sets id, stats and sums; says what time it is
	id='' stats='' some=''
	read -r id 2>/dev/null </etc/machine-id
	# shellcheck disable=SC2086 # one word for each file
	stats=$(stat -L -c '%a %u %s %Y-%Z %n' /proc/self $files $helper 2>/dev/null)
	while read -r mode owner size time name; do
		case $name in
		'') ;;
		/proc/self) say "now ${time%-*}" ;;
		"$helper") ! helper_digest "$size-$time-$mode-$owner" || say "helper $d" ;;
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
}

host_keys() { # sets hostkeys: type and key of each, sorted
	hostkeys='' last='' line='' sorted=yes
	for f in /etc/ssh/ssh_host_*_key.pub; do
		[ -f "$f" ] || continue
		word=''
		read -r word last _ <"$f" # which fails where no line end comes behind it, and has read it all the same
		[ -n "$word" ] || continue
		was=$line line="$word $last"
		# In order, as their names mostly bring them; a shell that cannot tell has them sorted.
		# shellcheck disable=SC3012
		[ -z "$hostkeys" ] || [ ! "$was" \> "$line" ] || sorted=no
		hostkeys="$hostkeys${hostkeys:+$newline}$line"
	done 2>/dev/null
	[ $sorted = yes ] || hostkeys=$(printf '%s\n' "$hostkeys" | sort)
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
	have nft || return 0
	tables=$(nft list tables inet 2>/dev/null)
	while read -r _ _ name; do
		is_table "$name" || continue
		live=$(nft list table inet "$name" 2>/dev/null)
		marks
		[ -z "$d" ] || is_as_file "$name" || d=$d,altered
		say "firewall $name ${d:-none}"
	done <<-END
		$tables
	END
}

# The interfaces that wg(8) has told of, and whether one of them marks its packets: then wg-quick may route a
# full tunnel by rules. A name that no inventory can have is nobody's here.
links_of_dump() { # sets links and marked; reads dump
	links='' marked=no i=''
	set -f; IFS=$newline
	for line in $dump; do
		case $line in "$i	"*) continue ;; esac
		i=${line%%"	"*}
		case $i in *[!A-Za-z0-9_=+.-]* | [-.]*) continue ;; esac
		links="$links $i"
		case $line in *"	off") ;; *) marked=yes ;; esac
	done
	set +f; unset IFS
}

ask_of_net() { # sets confs, own, dump, dropped, net and rules6; reads stats and most
	links='' marked=no confs='' own='' dump='' dropped='' rules6='' addresses='' routes=''
	if have_any_wg; then
		find_stand_in
		if have_wg; then dump=$(command wg show all dump 2>/dev/null)
		else dump=$("$stand_in" wg show all dump 2>/dev/null); fi
		links_of_dump
	fi
	for i in $links; do
		if embedded "$i"; then # what wg does not tell
			own="$own $i"
			dropped="$dropped@dropped $i$newline$("$stand_in" wg show "$i" dropped 2>/dev/null)$newline"
		fi
		size_of_conf "$i"
		# One that is longer than what is told of it is none of wgfleet's.
		[ -z "$size" ] || [ "$size" -gt "$most" ] || confs="$confs /etc/wireguard/$i.conf"
		addresses="$addresses${newline}addr show dev $i"
		routes="$routes${newline}link show dev $i${newline}route show table all dev $i root 0.0.0.0/0"
		routes="$routes${newline}link show dev $i${newline}route show table all dev $i root ::/0"
	done
	[ $marked = no ] || addresses="$addresses${newline}rule show"
	# One ip(8) for both families: a prefix says which is meant. Links come last, for some versions tell
	# nothing but links after them.
	net=$(ip -o -force -batch - 2>/dev/null <<-END
		$addresses
		route show table all root ::/0 proto ra
		${links:+link show type wireguard}
		link show dev lo
		$routes
	END
	)
	[ $marked = no ] || rules6=$(ip -6 -o rule show 2>/dev/null)
}

size_of_conf() { # IF: sets size, to nothing where there is no file; reads stats
	size=${stats%%" /etc/wireguard/$1.conf"*}
	if [ "$size" != "$stats" ]; then size=${size% *} size=${size##* }; return; fi
	size=''
	[ ! -f "/etc/wireguard/$1.conf" ] || size=$(stat -L -c %s "/etc/wireguard/$1.conf")
}

# What this script is made of; a host without one of them can neither be observed nor changed.
tools="awk cat chmod chown cmp cp cut dd df du grep head ln mkdir mv readlink rm rmdir sed setsid
	sha256sum sleep sort stat sync tr uname"

lacking() { # sets lacks: lines that say what of that is not there
	lacks=''
	for t in $tools; do command -v "$t" || lacks="${lacks}lacks $t$newline"; done
	[ -n "$lacks" ] || return 1
	for t in apt-get dnf yum apk zypper pacman; do ! command -v $t || { lacks="${lacks}installer $t$newline"; break; }; done
} >/dev/null 2>&1

observe() {
	read -r key || exit 9 # wgfleet makes a digest of the answer with it, as state_digest does here
	! lacking || { printf 'observe %s\n%send\n' "$protocol" "$lacks"; return; }
	state
}

machine_is() { # sets machine and release, as uname(1) says them; a personality may change them for one process
	machine='' release='' d=''
	read -r d </proc/self/personality
	case $d in 00000000 | 00040000) read -r machine </proc/sys/kernel/arch && read -r release </proc/sys/kernel/osrelease && return ;; esac
	d=$(uname -rm)
	machine=${d##* } release=${d%% *}
} 2>/dev/null

state() { # all that is observed
	wanted='' most=1048576
	while read -r word name; do
		case $word in
		interface) wanted="$wanted $name" ;;
		text) case $name in *[!0-9]* | '') ;; *) most=$name ;; esac ;;
		esac
	done
	machine_is
	systemd=no kernel=no tun=no tools_there=''
	! systemd_runs || systemd=yes
	! kernel_has || kernel=yes
	[ ! -c /dev/net/tun ] || tun=yes
	for t in wg-quick ip nft resolvconf wireguard-go systemctl; do
		! command -v $t || tools_there="${tools_there}tool $t$newline"
	done >/dev/null 2>&1
	! have_wg || tools_there="${tools_there}tool wg$newline"
	f=0 g=0
	read -r f </proc/sys/net/ipv4/ip_forward # one digit
	[ ! -e /proc/sys/net/ipv6/conf/all/forwarding ] || read -r g </proc/sys/net/ipv6/conf/all/forwarding
	[ "$g" = 0 ] || g=1
	printf '%s\n' "observe $protocol" "machine $machine" "kernel $release" "systemd $systemd" "kernel-wireguard $kernel" \
		"tun $tun" "${tools_there}forward4 $f" "forward6 $g"
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
	ask_of_files
	show_tables_of_fleets
	if systemd_runs; then
		for i in $wanted; do units="$units wg-quick@$i.service wgfleet-$i.service"; done
		# shellcheck disable=SC2086 # one word for each unit
		[ -z "$units" ] || states=$(systemctl is-active $units 2>/dev/null)
		for u in $units; do
			read -r state || state=unknown
			e=no; [ ! -L "/etc/systemd/system/multi-user.target.wants/$u" ] || e=yes
			a=no; [ "$state" != active ] || a=yes
			m=no; ! masks "$u" >/dev/null || m=yes
			say "unit $u $e $a $m"
		done <<-END
			${states:-}
		END
	fi
	ask_of_net
	show_all || return 1
	forget_copies
	say end
}

