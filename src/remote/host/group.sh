# ------------------------------------------------------------------------- a group changes together
# prepare, flip, hold, release: what `apply` and `confirm` do, in steps that several hosts take at the
# same moments. Moments are hundredths of a second of the host's own clock, which nobody sets.
wait_for() { # AT: says in late how many milliseconds after it the work begins; fails long after it
	moment
	n=$(($1 - now - 2))
	[ $n -le 0 ] || sleep "$(part_of $n)"
	moment
	while [ "$now" -lt "$1" ]; do moment; done
	n=$((now - $1))
	say $((n * 10)) >"$stage/late"
	# By now the others may have given up.
	[ $n -lt 200 ]
}

set_until() { # ID AT
	printf '%s\n' "$2" >"$run/$1/until.new" && mv -f "$run/$1/until.new" "$run/$1/until"
} 2>/dev/null

prepare() { # ID SECONDS: nothing is changed; what nobody flips in time is forgotten
	arm "$1" "$2" 0 || return 0
	within "$2" "$1" rehearse || {
		reason=$(cat "$stage/said" 2>/dev/null)$(full)
		disarm "$1"
		say "failed 0 ${reason:-it takes too long}"
		return 0
	}
	# The room for what comes is taken, and nothing has begun.
	: >"$stage/prepared"
	say prepared
}

# Everything that can fail without changing anything. What is written beside a file is removed again.
rehearse() {
	while read -r verb a b c _; do
		case $verb in
		prepare | file) try_write "$c" "$stage/$a" ;;
		keep) try_write "$c" ;;
		remove) ! there "$a" || try_write "$a" ;;
		protect) try_write "$b" ;;
		try) try_file "$stage/$a" "$b" ;;
		setconf | addconf) try_set "$stage/$b" ;;
		nft) nft -c -f "$stage/$a" ;;
		sysctl) try_sysctl "$a" ;;
		batch | drop) have ip ;;
		*) : ;;
		esac >"$stage/tried" 2>&1 || {
			printf '%s: %s\n' "$verb" "$(no_keys <"$stage/tried")" >"$stage/said"
			return 1
		}
	done <<-END
		$(cat "$stage/ops" "$stage/keep" 2>/dev/null)
	END
}

try_sysctl() { # NAME
	[ -e "/proc/sys/$1" ] && return
	say "there is no /proc/sys/$1"
	return 1
}

try_write() { # PATH [STAGED]
	beside "$1"
	folder=${1%/*}
	until [ -d "$folder" ] || [ -z "$folder" ]; do folder=${folder%/*}; done
	[ "$folder" = "${1%/*}" ] || tmp=$folder/.wgfleet.$$.wgfleet
	if cat "${2:-/dev/null}" >"$tmp"; then rm -f "$tmp"; else rm -f "$tmp"; return 1; fi
}

flip() { # ID AT UNTIL: does what was prepared; takes it back at UNTIL
	stage=$run/$1
	# Once only, and not while somebody takes it back.
	if [ ! -e "$run/armed.$1" ] || ! mv "$stage/prepared" "$stage/flipped" 2>/dev/null; then say gone; return 0; fi
	set_until "$1" "$3" || { disarm "$1"; say "failed 0 timer: cannot write $run$(full)"; return 0; }
	carry_out "$1" "$2"
}

# As `confirm`, but it can still be taken back until UNTIL, or `release`: the timer runs on, and then
# forgets how.
hold() { # ID UNTIL
	stage=$run/$1 bad=
	[ ! -e "$run/held.$1" ] || { say confirmed; return 0; }
	claim "$1" confirmed || { say gone; return 0; }
	set_until "$1" "$2"
	rm -f "$stage/room"
	# What the next boot reads can be taken back too.
	if within 20 "$1" snapshot_keep; then
		cat "$stage/keep" >>"$stage/begun" 2>/dev/null
		keep_ops "$1"
		mv "$run/confirmed.$1.$(myself)" "$run/held.$1" 2>/dev/null
	else
		keep_ops "$1"
		stop_timer "$1"
		finish "$1"
	fi
	# It may have ended meanwhile.
	timer_runs "$1" || ! claim_held "$1" confirmed || finish "$1"
	say_kept
}

confirms() { # ID: some process confirms it just now
	for f in "$run/confirmed.$1".*; do
		[ ! -e "$f" ] || { claim_of "$f" confirmed; lives "$by"; return; }
	done
	return 1
}

take_back() { # ID: rolls it back now
	n=0 # a moment later it is held, and can be taken back, or it is confirmed for good
	while confirms "$1" && [ $n -lt 150 ]; do n=$((n + 1)); sleep 0.1; done
	if claim "$1" reverting || claim_held "$1" reverting; then stop_timer "$1"; revert "$1"; return; fi
	# What was sent and is not armed yet will not be; what was armed just now is rolled back.
	[ ! -d "$run/$1" ] || : 2>/dev/null >"$run/$1/cancelled"
	if claim "$1" reverting; then stop_timer "$1"; revert "$1"; else say gone; fi
}

fate() { # ID: what became of a change
	n=0
	while confirms "$1" && [ $n -lt 150 ]; do n=$((n + 1)); sleep 0.1; done
	if [ -e "$run/held.$1" ]; then say "fate held"
	elif [ -e "$run/armed.$1" ] && [ -e "$run/$1/prepared" ]; then say "fate prepared"
	elif [ -e "$run/armed.$1" ]; then say "fate armed"
	elif grep -q "\"$1\"" /var/lib/wgfleet/*.json 2>/dev/null; then say "fate kept"
	else say "fate gone"; fi
}

release() { # ID: the whole group has confirmed
	if claim_held "$1" confirmed; then stop_timer "$1"; finish "$1"; say released; else say gone; fi
}
