#!/bin/sh
# Runs apt-get with these arguments. Waits while another program holds one of its locks, as a machine
# does that has just booted; gives up after APT_PATIENCE seconds (600).
# usage: apt.sh update -qq
set -eu
patience=${APT_PATIENCE:-600} waited=0 said=
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
# The option covers the locks of dpkg; the one of the lists is left to the loop.
while ! LC_ALL=C apt-get -o DPkg::Lock::Timeout=5 "$@" 2>"$errors"; do
  if ! grep -q 'Could not get lock\|Unable to acquire the dpkg frontend lock\|Unable to lock' "$errors" ||
    [ "$waited" -ge "$patience" ]; then
    cat "$errors" >&2
    exit 100
  fi
  [ -n "$said" ] || echo "waiting for another program to release apt's lock: $(head -n 1 "$errors")" >&2
  said=yes
  sleep 2
  waited=$((waited + 2))
done
cat "$errors" >&2
