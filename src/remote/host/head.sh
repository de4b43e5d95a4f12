# The host's side of wgfleet: POSIX sh, static text. Everything that varies comes on stdin, never
# through this text, so that nothing in an inventory can become a command, and no secret is ever in
# an argument. Arguments: this text itself, a verb, its plain words.
#
#   observe              stdin: fingerprint key, then "interface NAME" lines, and "text BYTES", the most that
#                        is told of a file; stdout: see observed/parse.rs
#   adopt                stdout: all that an import takes over, private and preshared keys included; see
#                        adopt/told.rs
#   part SHA BYTES       says how much of a binary has arrived
#   helper MACHINE SHA BYTES AT
#                        stdin: the binary, compressed, from its byte AT on
#   apply ID SECONDS     stdin: payload ("protocol", files, "ops", "keep" and "undo"; perhaps "observe", what
#                        the verb of that name reads, and "expect", the digest that it has to come to);
#                        arms the timer, then does the ops
#   confirm ID           makes permanent what `apply` did: only now, with "keep", does the next boot change
#   revert ID            rolls it back now
#   clock                the host's monotonic clock, in hundredths of a second
#   probe                stdin: addresses, one a line; says the places, from 0, of those that answer a ping
#   prepare ID SECONDS   stdin: as of `apply`; tries all that can be tried, and keeps other changes out; what is
#                        not flipped within SECONDS is forgotten
#   flip ID AT UNTIL     does what was prepared at the moment AT, and takes it back at UNTIL
#   hold ID UNTIL        as `confirm`, but `revert` can take it back until UNTIL or `release`
#   release ID           forgets how to take it back
#   fate ID              what became of a change, for whoever goes on where its run was interrupted
#   lock ID SECONDS [ID]…  stdin: who asks, in one line; keeps other runs than ID away until SECONDS have passed,
#                        though those that are named lose it to this one
#   renew ID SECONDS     as long again
#   unlock ID            lets others go on
#   holder               who has the lock
#   break                takes it away, unless a change is armed
#   expire ID SECONDS    the timer's own verb
#   work ID [AT]         does the operations of an armed change, in a session of its own
#   step ID FUNCTION …   a part of a change or its rollback that may hang, in a session of its own
#
# In /run/wgfleet: ID/ has what was sent and, in old/, what was there before; timer.ID the pid of its
# timer; armed.ID is there while the change is armed, and whoever renames that decides between
# confirming and rolling back; held.ID instead, once it has confirmed and its group has not; `armed`, the same file, keeps other changes out until all is over. What
# a kill leaves behind is finished by the next `apply`.
set -u
self=$1 verb=$2
shift 2
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH
LC_ALL=C
WG_ENDPOINT_RESOLUTION_RETRIES=2
export PATH LC_ALL WG_ENDPOINT_RESOLUTION_RETRIES
umask 077
protocol=3 # of what is said here: operations, observations, answers
run=/run/wgfleet
lib=/usr/local/lib/wgfleet
helper=$lib/wgfleet
armed=$run/armed
unset WG_HIDE_KEYS
newline='
'

say() { printf '%s\n' "$*"; } # echo(1) of some shells obeys what looks like \n in a file or an error
have() { command -v "$1" >/dev/null 2>&1; }
has_wg=no; ! have wg || has_wg=yes # before there is a function of that name
have_wg() { [ $has_wg = yes ]; }
stand_in=$helper
wg() { if have_wg; then command wg "$@"; else "$stand_in" wg "$@"; fi; }
have_any_wg() { have_wg || [ -x "$helper" ]; }
quick() { # up|down IF, whichever of wg-quick and wgfleet is there
	# What hooks and resolvconf write for others they can read, as after a boot.
	(umask 022; if have wg-quick; then command wg-quick "$@"; else "$helper" quick "$@"; fi)
}
link() { ip link show dev "$1" >/dev/null 2>&1; } # /sys may show another namespace's
is_table() { # NAME: of some fleet; version 0.1.0 had one for all
	case $1 in
	wgfleet) ;;
	wgfleet-*[!a-z0-9.-]* | wgfleet- | wgfleet-[.-]* | wgfleet-*[.-]) return 1 ;;
	wgfleet-*) ;;
	*) return 1 ;;
	esac
}
yes_no() { if "$@"; then say yes; else say no; fi; }
systemd_runs() { [ -d /run/systemd/system ]; }
# shellcheck disable=SC2317 # called through yes_no
kernel_has() { # in the kernel, or a module of it
	[ -d /sys/module/wireguard ] || { [ -d "/lib/modules/$release" ] && modprobe -nq wireguard 2>/dev/null; }
}

