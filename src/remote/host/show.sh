# ---------------------------------------------------------------------------------------- show
names_of_tables() { # sets names: the files in which routing tables have names
	names=''
	for f in /usr/share/iproute2/rt_tables /usr/lib/iproute2/rt_tables /etc/iproute2/rt_tables \
		/usr/share/iproute2/rt_tables.d/*.conf /etc/iproute2/rt_tables.d/*.conf; do
		names="$names $f"
	done
}

# All that was asked: who this machine is; files, their content without secrets; what each fleet keeps here
# about its own changes; interfaces, their addresses, routes and peers; the rules by which wg-quick routes a
# full tunnel; and the interfaces whose IPv6 default route the kernel learned from a router: those hear none
# any more once the host forwards, unless accept_ra is 2.
show_all() {
	names_of_tables
	# shellcheck disable=SC2086 # one word for each file
	awk -v id="$id" -v keys="${hostkeys:+1}" -v most="$most" -v helper="$helper" -v own="$own " -v tables="$names" '
	# Settings, and whatever has the form of a key: public ones stand behind PublicKey. A line that was
	# cut through is left out, for half a key is none.
	BEGIN { for (k = 0; k < 43; k++) key = key "[A-Za-z0-9+/]"; key = key "=" }
	function hide(text, word, upper) {
		if (length(text) < 20) return text
		if (length(text) > 43) gsub(key, word, text)
		while (match(upper = toupper(text), /AGE-(SECRET-KEY|PLUGIN)-[-A-Z0-9+._]*1[A-Z0-9]+/))
			text = substr(text, 1, RSTART - 1) word substr(text, RSTART + RLENGTH)
		return text
	}
	function show(text, name, c) {
		name = tolower(text); sub(/=.*/, "", name); gsub(/[ \t]/, "", name)
		if (name == "privatekey" || name == "presharedkey") { match(text, /=[ \t]*/); text = substr(text, 1, RSTART + RLENGTH - 1) "(hidden)" }
		c = index(text, "#")
		if (!c) c = length(text) + 1
		text = (name == "publickey" ? substr(text, 1, c - 1) : hide(substr(text, 1, c - 1), "(hidden)")) hide(substr(text, c), "(key)")
		gsub(/[[:cntrl:]]/, "?", text); print "| " text
	}
	function line(text, rest, c) {
		if (inside) { if (!(c = index(text, "-----END "))) return; inside = 0; sub(/.*-----END [^-]*(-----)?/, "", text); if (text == "") return }
		if (match(text, /-----BEGIN [A-Z0-9 ]*(PRIVATE KEY|AGE ENCRYPTED)/)) {
			rest = substr(text, RSTART + 11)
			inside = !index(rest, "-----END ")
			if (inside) rest = ""; else sub(/.*-----END [^-]*(-----)?/, "", rest)
			text = substr(text, 1, RSTART - 1) (index(substr(text, 1, RSTART), "#") ? "(key)" : "(hidden)") rest
		}
		show(text)
	}
	function tell(path, size, source, text, last, some) {
		some = inside = 0; source = "head -c " most " " path
		while ((size > most ? (source | getline text) : (getline text < path)) > 0) { if (some++) line(last); last = text }
		if (size > most) { close(source); print "| (the file goes on: it has " size " bytes)" } else { close(path); if (some) line(last) }
	}
	function record(path, fleet, text) {
		fleet = path; sub(/.*\//, "", fleet); sub(/\.json$/, "", fleet); print "record", fleet
		while ((getline text < path) > 0) { gsub(/[[:cntrl:]]/, "?", text); print "| " text }
		close(path)
	}
	function tell_files() {
		if (id != "") print "machine-id", sum["/proc/self/fd/3"]
		if (keys) print "host-key", sum["/proc/self/fd/4"]
		none = "0000000000000000000000000000000000000000000000000000000000000000"
		for (k = 1; k <= n; k++) {
			if (path[k] ~ /^\/var\/lib\/wgfleet\//) { if (owner[k] == 0 && size[k] <= 1048576) record(path[k]); continue }
			print "file", mode[k], owner[k] == 0 ? "yes" : "no", (path[k] in sum) ? sum[path[k]] : none, path[k]
			tell(path[k], size[k])
		}
	}
	# Tables that have names: ip(8) prints those.
	BEGIN {
		c = split(tables, all, " ")
		for (k = 1; k <= c; k++) while ((getline row < all[k]) > 0) { split(row, one); if (one[1] ~ /^[0-9]+$/) number[one[2]] = one[1] }
	}
	function table(name) { return name in number ? number[name] : name }
	function flush() { if (pub != "" && psk != "") inconf[conf, pub] = psk; pub = psk = "" }
	FILENAME != "-" {
		if (FNR == 1) { flush(); conf = FILENAME; sub(/.*\//, "", conf); sub(/\.conf$/, "", conf) }
		row = $0; sub(/#.*/, "", row); name = tolower(row); sub(/=.*/, "", name); gsub(/[ \t]/, "", name)
		if (name ~ /^\[/) flush()
		value = row; sub(/^[^=]*=[ \t]*/, "", value); gsub(/[ \t\r]/, "", value)
		if (name == "publickey") pub = value; else if (name == "presharedkey") psk = value
		next
	}
	/^@/ { flush(); part = $1; of = $2; here = ""; if (part == "@net") tell_files(); next }

	part == "@stats" { if ($5 != helper && $5 != "/proc/self") { path[++n] = $5; mode[n] = $1; owner[n] = $2; size[n] = $3 }; next }
	part == "@sums" { sum[$2] = $1; next }

	part == "@dump" {
		split($0, field, "\t"); i = field[1]
		if (!(i in shown)) next
		if (NF == 5) print "device", i, field[3], field[4], field[5]
		if (NF == 9) {
			state = "none"
			# Private keys end here; preshared keys are compared here.
			if (field[3] != "(none)") state = inconf[i, field[2]] == field[3] ? "as-file" : "other"
			print "peer\t" i "\t" field[2] "\t" state "\t" field[4] "\t" field[5] "\t" field[6] "\t" field[7] "\t" field[8] "\t" field[9]
		}
		next
	}
	part == "@dropped" { if (NF == 3 && of in shown) print "dropped", of, $1, $2, $3; next }

	# Of links: each stands before its routes, and before lo those that the kernel carries.
	/^[0-9]+: [^ ]+: </ {
		i = $2; sub(/:$/, "", i)
		if (!begun) { if (i == "lo") begun = 1; else kernel[i] = 1; next }
		of = i == here ? 6 : 4
		if (of == 6) next
		here = i
		kind = index(own, " " i " ") ? "embedded" : "userspace"; if (i in kernel) kind = "kernel"
		for (k = 4; k < NF; k++) if ($k == "mtu") {
			print "interface", i, kind, $3 ~ /[<,]UP[,>]/ ? "yes" : "no", $(k + 1)
			printf "%s", addresses[i]; shown[i] = 1; break
		}
		next
	}
	/^[0-9]+: [^ ]+ +inet6? / { if ($4 !~ /^fe80:/) addresses[$2] = addresses[$2] "address " $2 " " $4 "\n"; next }
	/^[0-9]+:[ \t]+(from|not) / {
		if (/ suppress_prefixlength 0 *$/) print "rule", of, "suppress"
		else if (/not from all fwmark 0x[0-9a-f]+ lookup /) {
			for (k = 2; k < NF; k++) { if ($k == "fwmark") m = $(k + 1); if ($k == "lookup") t = table($(k + 1)) }
			if (t ~ /^[0-9]+$/) print "rule", of, m, t
		}
		next
	}
	here == "" {
		for (k = 1; k < NF; k++) if ($k == "dev") i = $(k + 1)
		if ($1 != "default" || i !~ /^[A-Za-z0-9_=+.-]+$/ || i in heard) next
		heard[i] = 1; setting = ""; getline setting < ("/proc/sys/net/ipv6/conf/" i "/accept_ra")
		if (setting == 1 || setting == 2) print "advertised", i
		next
	}
	!(here in shown) { next }
	/proto kernel/ { if ($1 ~ /^[0-9a-f:.]+\/[0-9]+$/) print "connected", here, $1; next }
	$1 ~ /^(default|[0-9a-f:.]+(\/[0-9]+)?)$/ {
		t = "main"; for (k = 2; k < NF; k++) if ($k == "table") t = $(k + 1)
		print "route", here, of, table(t), $1
	}' $confs - <<-END
		@stats
		$stats
		@sums
		$sums
		@net 4
		$net
		@rules 6
		$rules6
		@dump
		$dump
		$dropped
	END
}

