# Traffic through the tunnels, as a change is verified by it.

probe() { # stdin: addresses, one a line; says the places, from 0, of those that answer a ping
	answered=$(
		place=0
		while read -r address; do
			case $address in
			'' | *[!0-9a-fA-F.:]*) ;;
			*) probe_one "$place" "$address" & ;;
			esac
			place=$((place + 1))
		done
		wait
	)
	# shellcheck disable=SC2086 # a word for each of them
	say answered $answered
}

probe_one() { # PLACE ADDRESS: the first packet may be what begins the session
	have ping || return 0
	for seconds in 1 2; do
		if ping -c 1 -W "$seconds" "$2" </dev/null >/dev/null 2>&1; then
			say "$1"
			return
		fi
	done
}
