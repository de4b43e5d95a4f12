# ---------------------------------------------------------------------------------------- lock
# One run at a time has this host. $run/lock has the id of the run, the moment at which its lease ends unless it
# is renewed, and who it is: one line. What is armed keeps others out without it.
holder() { # sets lock, until and whose; fails where nobody has it
	lock='' until='' whose=''
	read -r lock until whose <"$run/lock" || return 1
	case $lock in *[!a-z0-9]* | '') return 1 ;; esac
	case $until in *[!0-9]* | '') return 1 ;; esac
	moment
	[ "$now" -lt "$until" ]
} 2>/dev/null

say_locked() { say "locked $lock $(((until - now) / 100)) $whose"; }

lease() { # ID SECONDS WHOSE: writes it beside its place; sets new
	moment
	new=$run/lock.$(myself)
	printf '%s %s %s\n' "$1" $((now + $2 * 100)) "$3" >"$new"
} 2>/dev/null

take_lock() { # ID SECONDS [ID]…: of runs that are over, whoever asks has made sure of that; stdin: who asks
	mkdir -p $run && chmod 700 $run
	read -r mine || mine=-
	id=$1 seconds=$2
	shift 2
	# The timer of what is armed ends it.
	if armed_id && timer_runs "$d"; then say "busy $d"; return; fi
	old=$run/lock.$(myself).old
	if holder; then
		case " $id $* " in *" $lock "*) ;; *) say_locked; return ;; esac
	fi
	was=$lock
	lease "$id" "$seconds" "$mine" || { rm -f "$new"; say "failed 0 lock: cannot write $run"; return; }
	if mv "$run/lock" "$old" 2>/dev/null; then
		read -r lock _ <"$old" || lock=''
		# Another one has taken it meanwhile: it stays theirs.
		[ "$lock" = "$was" ] || ln "$old" "$run/lock" 2>/dev/null
		rm -f "$old"
	fi
	if ln "$new" "$run/lock" 2>/dev/null; then say taken
	elif holder; then say_locked
	else say "failed 0 lock: another run takes it just now"; fi
	rm -f "$new"
}

renew_lock() { # ID SECONDS
	if holder && [ "$lock" = "$1" ] && lease "$1" "$2" "$whose" && mv -f "$new" "$run/lock"; then say taken; else say gone; fi
}

unlock() { # ID
	lock=''
	read -r lock _ 2>/dev/null <"$run/lock" || :
	if [ "$lock" = "$1" ]; then rm -f "$run/lock"; say released; else say gone; fi
}

show_lock() {
	if holder; then say_locked
	elif armed_id && timer_runs "$d"; then say "busy $d"
	else say free; fi
}

break_lock() { # whoever has it; not while a change is armed, which its timer ends
	if armed_id && timer_runs "$d"; then say "busy $d"
	elif [ -e "$run/lock" ]; then rm -f "$run/lock"; say released
	else say gone; fi
}
