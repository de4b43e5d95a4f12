#!/bin/sh
# An age plugin (https://c2sp.org/age-plugin) whose secret is none: the file key stands in the
# stanza as it is. It does what the file `mode` beside it says, and notes each run in `runs`.
here=$(dirname "$0")
mode=$(cat "$here/mode" 2>/dev/null)
echo "$0 $1" >>"$here/runs"

# Reads one stanza: its words into $line, the first line of its body into $body.
stanza() {
    IFS= read -r line || exit 1
    body=
    while IFS= read -r text || exit 1; do
        body=$body$text
        [ ${#text} -lt 64 ] && break
    done
}

# Says something, and reads the answer.
say() {
    printf -- '-> %s\n%s\n' "$1" "$2"
    stanza
}

encoded() { printf %s "$1" | base64 -w 0 | tr -d =; }

count=0
while stanza; do
    # shellcheck disable=SC2086 # words
    set -- $line
    case $2 in
    add-recipient) count=$((count + 1)) ;;
    wrap-file-key) key=$body ;;
    recipient-stanza) [ "$4" = toy ] && key=$body ;;
    done) break ;;
    esac
done

case $mode in
die) exit 3 ;;
refuse) say 'error internal' "$(encoded "the card is gone")" ;;
esac
if [ "$count" -gt 0 ]; then
    [ "$mode" = refuse ] || while [ "$count" -gt 0 ]; do
        say 'recipient-stanza 0 toy' "$key"
        count=$((count - 1))
    done
elif [ -n "$key" ] && [ "$mode" != refuse ]; then
    case $mode in
    pin)
        say request-secret "$(encoded 'Enter the PIN')"
        case $line$body in
        "-> ok$(encoded 1234)") ;;
        *) say 'error internal' "$(encoded 'wrong PIN')"; key= ;;
        esac
        ;;
    touch) say msg "$(encoded 'Touch the key')" ;;
    confirm)
        say "confirm $(encoded inserted) $(encoded skip)" "$(encoded 'Insert the key')"
        [ "$line" = '-> ok yes' ] || { say 'error internal' "$(encoded 'no key')"; key=; }
        ;;
    esac
    [ -n "$key" ] && say 'file-key 0' "$key"
fi
printf -- '-> done\n\n'
