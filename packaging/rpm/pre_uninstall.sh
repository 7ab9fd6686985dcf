# What %systemd_preun and %systemd_user_preun come to: the agent is stopped when it is removed, and not
# when it is upgraded. Pods keep running, and /var/lib/device-worker-ng stays.
if [ "$1" -eq 0 ] && [ -x /usr/lib/systemd/systemd-update-helper ]; then
    /usr/lib/systemd/systemd-update-helper remove-system-units device-worker-ng-metrics.socket device-worker-ng.service || :
    /usr/lib/systemd/systemd-update-helper remove-user-units device-worker-ng-metrics.socket device-worker-ng.service || :
fi
