#!/bin/sh
# Runs apt-get with these arguments. Waits while another program holds one of its locks, as a machine
# does that has just booted; gives up after APT_PATIENCE seconds (600).
# usage: apt.sh update -qq
set -eu
patience=${APT_PATIENCE:-600} start=$(date +%s) said=
# Not "are you root?", for which nobody need wait.
locked='Could not get lock\|is another process using it'
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
# The option covers the locks of dpkg; the one of the lists is left to the loop.
while ! LC_ALL=C apt-get -o DPkg::Lock::Timeout=5 "$@" 2>"$errors"; do
  if ! grep -q "$locked" "$errors" || [ $(($(date +%s) - start)) -ge "$patience" ]; then
    cat "$errors" >&2
    exit 100
  fi
  [ -n "$said" ] || echo "waiting for another program to release apt's lock: $(grep -m 1 "$locked" "$errors")" >&2
  said=yes
  sleep 2
done
cat "$errors" >&2
