# -------------------------------------------------------------------------------------- what is armed
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

runs() { tr '\0' ' ' <"/proc/$1/cmdline" | grep -q "host.sh  $2 "; } 2>/dev/null # PID VERB
timer_runs() { [ -e "$run/timer.$1" ] && read -r pid <"$run/timer.$1" && runs "$pid" "expire $1"; } 2>/dev/null # ID


moment() { # sets now: hundredths of a second of a clock that nobody sets
	read -r now _ </proc/uptime
	n=1${now#*.}
	now=$((${now%.*} * 100 + n - 100))
}

part_of() { # HUNDREDTHS: seconds
	n=$(($1 % 100 + 100))
	say "$(($1 / 100)).${n#1}"
}
