#!/bin/sh
# PID 1 of a lab host without systemd: starts sshd where it has a key, then reaps for ever.
mkdir -p /run/sshd /run/lock
if [ -e /etc/ssh/ssh_host_ed25519_key ]; then
	/usr/sbin/sshd -D -E /run/sshd.log &
fi
trap : TERM INT HUP
while :; do
	sleep 2147483 &
	wait $!
done
