# ------------------------------------------------------------------------------ apply, confirm
# A change ID is armed while armed.ID is there, and whoever renames that file decides what becomes of
# it. `armed`, a second name of the same file, keeps other changes out until all of this one is over;
# only who holds the change removes it.
claim() { # ID WORD: only one of all who try succeeds
	mv "$run/armed.$1" "$run/$2.$1.$(myself)"
} 2>/dev/null

claim_held() { # ID WORD: the same of one that has confirmed, and whose group has not
	mv "$run/held.$1" "$run/$2.$1.$(myself)"
} 2>/dev/null

# What was confirmed is done for the next boot too, and is on the disk; can be done again, where a kill
# came between.
keep() { # ID
	stage=$run/$1 bad=
	rm -f "$stage/room"
	keep_ops "$1"
	finish "$1"
	say_kept
}

keep_ops() { # ID: sets bad
	[ ! -d "$stage" ] || [ -e "$stage/host.sh" ] || printf '%s\n' "$self" >"$stage/host.sh"
	[ ! -e "$stage/keep" ] || while read -r line; do
		# shellcheck disable=SC2086 # the words hold no blanks and no patterns
		within 20 "$1" op $line || bad="$bad ${line##* }"
	done <"$stage/keep"
	[ ! -d "$stage" ] || within 60 "$1" sync_names || bad="$bad (the disk does not say that it has it)"
}

say_kept() {
	if [ -z "$bad" ]; then say confirmed; else printf 'confirmed, but not for the next boot:%s\n' "$bad"; fi
}

finish() { # ID: who claimed it, or never armed it
	mine=''
	if read -r mine 2>/dev/null <"$run/$1/lock" && [ -n "$mine" ]; then unlock "$mine" >/dev/null; fi
	rm -rf "${run:?}/$1" "$run/timer.$1" "$run/armed.$1"
	! { armed_id && [ "$d" = "$1" ]; } || rm -f $armed
	rm -f "$run/held.$1" "$run/reverting.$1" "$run/reverting.$1".* "$run/confirmed.$1" "$run/confirmed.$1".*
}

disarm() { # ID: nothing was done yet
	! claim "$1" confirmed || { stop_timer "$1"; finish "$1"; }
}

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
	for f in "$run"/held.*; do # its group was never released, so it keeps what it confirmed
		[ -e "$f" ] || continue
		id=${f#"$run/held."}
		if timer_runs "$id" || ! claim_held "$id" confirmed; then say "busy $id"; return 1; fi
		finish "$id"
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
	rm -f "$run"/as-file.* "$run"/reverted.* "$run"/arming.* "$run"/lock.* "$run"/host.sh "$run"/host.sh.*
	for f in "$run"/armed.*; do
		# Another apply is about to be refused, or was killed there.
		[ ! -e "$f" ] || [ "$f" = "$run/armed.$1" ] || timer_runs "${f#"$run"/armed.}" || rm -f "$f"
	done
}

# The digest of all that a plan depends on, and of nothing that changes by itself; src/observed/digest.rs makes
# the same of an answer.
state_digest() { # stdin: as of observe
	read -r key && ! lacking || return 1
	seen=$(state)
	case $seen in *"${newline}end") ;; *) return 1 ;; esac # something ended it half-way
	d=$(printf '%s\n%s\n' "$key" "$seen" | awk -F '\t' '
		/^(now|dropped|helper|armed|record|\|) / || $0 == "end" { next } # a text has its digest on the line before
		$1 == "peer" { print $1, $2, $3, $4, $6, $10; next } # not its endpoint, handshake and bytes
		{ print }' | sort | sha256sum) # some tunnels tell their peers in any order
	say "${d%% *}"
}

compare() { # whether the host is still what the plan saw
	read -r expected <"$stage/expect" || return 1
	state_digest <"$stage/observe" >"$stage/digest"
	read -r found <"$stage/digest" && [ "$found" = "$expected" ]
}

apply() { # ID SECONDS
	arm "$1" "$2" || return 0
	carry_out "$1"
}

# What is armed has done nothing yet; what it was sent is whole, and the host is what the plan saw.
arm() { # ID SECONDS [0]: of a group, the flip moves the end of the timer
	mkdir -p $run && chmod 700 $run
	clean_up || return 1
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
	theirs=none
	read -r theirs 2>/dev/null <"$stage/protocol" || :
	if [ "$theirs" != "$protocol" ]; then
		finish "$1"
		say "failed 0 stage: the payload has protocol ${theirs:-none}, and the host's script $protocol; use one version of wgfleet for both"
		return 1
	fi
	mine=
	read -r mine 2>/dev/null <"$stage/lock" || :
	if holder && [ "$lock" != "$mine" ]; then
		finish "$1"
		say_locked
		return 1
	fi
	: >>"$stage/undo"
	[ -e "$stage/ops" ] || { finish "$1"; say "failed 0 stage: the payload has no operations"; return 1; }
	# Its own: a running shell reads its script as it goes, and another version may come meanwhile.
	rm -f "$stage/room"
	if ! { printf '%s\n' "$self" >"$stage/host.sh" && printf '%s\n' "$1" >"$run/armed.$1"; } 2>/dev/null; then
		finish "$1"
		say "failed 0 stage: cannot write $run$(full)"
		return 1
	fi
	if [ -e "$stage/cancelled" ]; then
		finish "$1"
		say "failed 0 it was cancelled before it began"
		return 1
	fi
	if [ $# = 3 ]; then
		moment
		set_until "$1" $((now + $2 * 100))
	fi
	# The timer before the lock: what is armed has one.
	if ! start_timer "$1" "${3:-$2}"; then
		stop_timer "$1"; finish "$1"
		say "failed 0 timer: it does not start$(full)"
		return 1
	fi
	if ! ln "$run/armed.$1" $armed 2>/dev/null; then
		stop_timer "$1"; finish "$1"
		if armed_id; then say "busy $d"; else say "failed 0 timer: the deadline passed before anything was done"; fi
		return 1
	fi
	tidy "$1"
	if [ -e "$stage/expect" ]; then
		within "$2" "$1" compare || {
			found=
			read -r found 2>/dev/null <"$stage/digest" || :
			disarm "$1"
			say "moved ${found:-unknown}"
			return 1
		}
	fi
	within "$2" "$1" snapshot || {
		reason=$(full $?)
		disarm "$1"
		say "failed 0 snapshot: the present state cannot be saved$reason"
		return 1
	}
}

# In a session of its own: neither a lost login nor a killed shell stops it half-way, and the timer
# can end it together with all that it runs.
carry_out() { # ID [AT]: does the operations, at some moment of the host's clock
	setsid sh "$stage/host.sh" "" work "$@" </dev/null 2>/dev/null
	case $? in
	0)
		late=
		read -r late 2>/dev/null <"$stage/late" || :
		if [ -z "$late" ]; then say "done"; else say "flipped $late"; fi
		return 0
		;;
	1) ;;
	3) say "failed - the moment of the group had passed" ;;
	*) say "failed - the operations were interrupted$(full)" ;;
	esac
	! claim "$1" reverting || { stop_timer "$1"; revert "$1"; }
	return 0
}

work() { # ID [AT]
	stage=$run/$1
	say $$ >"$stage/worker" || exit 2
	[ $# = 1 ] || wait_for "$2" || exit 3
	do_ops "$1"
}

expire() { # ID SECONDS
	say $$ >"$run/timer.$1"
	# Memory that runs out must not take it.
	say -900 >/proc/$$/oom_score_adj
	sleep "$2"
	# Of a group, the flip and the confirmation move the moment.
	while read -r at <"$run/$1/until" && moment && [ "$now" -lt "$at" ]; do
		n=$((at - now))
		if [ $n -lt 100 ]; then sleep "$(part_of $n)"; else sleep 1; fi
	done
	if claim "$1" reverting; then revert "$1" >"$run/reverted.$1"
	elif claim_held "$1" confirmed; then finish "$1"
	else rm -f "$run/timer.$1"; fi
} 2>/dev/null

