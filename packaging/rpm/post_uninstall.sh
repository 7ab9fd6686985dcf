# What %systemd_postun_with_restart and its like for users come to: an upgraded agent is restarted.
if [ "$1" -ge 1 ] && [ -x /usr/lib/systemd/systemd-update-helper ]; then
    /usr/lib/systemd/systemd-update-helper mark-restart-system-units device-worker-ng.service || :
    /usr/lib/systemd/systemd-update-helper mark-restart-user-units device-worker-ng.service || :
fi
