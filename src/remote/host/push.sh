# ---------------------------------------------------------------------------------------- push
helper_part() { # SHA BYTES: says how much of the compressed binary arrived before a line broke
	got=0 part=$lib/.wgfleet.$1.$2
	if [ -f "$part" ] && [ ! -L "$part" ]; then got=$(stat -c %s "$part"); fi
	say "part ${got:-0}"
}

push_helper() { # MACHINE SHA BYTES AT: the digest of the binary, the size of it compressed, and what is here already
	[ "$(uname -m)" = "$1" ] || { say "failed the host is not $1"; return 1; }
	have gzip || { say "failed there is no gzip, which unpacks the binary"; return 1; }
	umask 022
	mkdir -p $lib
	# Root runs what lies there. (Who may write above it may write what root runs anyway: Debian's staff.)
	case $(stat -c '%u %A' $lib) in
	'0 d'????[!w]??[!w]?) ;;
	*) say "failed others than root may write to $lib: $(stat -c 'user %u, mode %a' $lib); run \`chown root:root $lib; chmod 755 $lib\` there"; return 1 ;;
	esac
	part=$lib/.wgfleet.$2.$3
	for f in "$lib"/.wgfleet.*; do [ "$f" = "$part" ] || rm -f "$f"; done
	if [ -f "$part" ] && [ ! -L "$part" ]; then n=$(stat -c %s "$part"); else n=0; fi
	[ "$n" = "$4" ] || { say "failed what had arrived of the binary is not what was asked about; run the command again"; return 1; }
	cat >>"$part" || { say "failed cannot write $lib: $(df -k $lib | awk 'END { print $4 }') KiB are free"; return 1; }
	n=$(stat -c %s "$part")
	[ "$n" -ge "$3" ] || { say "failed the line broke after $n of $3 bytes of the binary; what arrived is kept, and the next run sends the rest"; return 1; }
	tmp=$lib/.wgfleet.$$
	gzip -dc <"$part" >$tmp 2>/dev/null || { rm -f $tmp "$part"; say "failed the binary does not unpack: $(df -k $lib | awk 'END { print $4 }') KiB are free in $lib"; return 1; }
	rm -f "$part"
	d=$(sha256sum $tmp | cut -d ' ' -f 1)
	[ "$d" = "$2" ] || { rm -f $tmp; say "failed the binary arrived damaged; run the command again"; return 1; }
	chmod 755 $tmp
	$tmp --version >/dev/null 2>&1 || { rm -f $tmp; say "failed the binary does not run here"; return 1; }
	sync $tmp 2>/dev/null || sync
	mv -f $tmp $helper
	for n in wgfleet-tunnel wg wg-quick; do ln -sfn wgfleet $lib/$n; done
	say "$d $(helper_stamp)" >$lib/wgfleet.sha256
	say 'done'
}

