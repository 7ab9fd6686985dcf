# What %systemd_post and %systemd_user_post come to: on a first installation the presets of the
# distribution decide whether the units are enabled.
if [ "$1" -eq 1 ] && [ -x /usr/lib/systemd/systemd-update-helper ]; then
    /usr/lib/systemd/systemd-update-helper install-system-units device-worker-ng-metrics.socket device-worker-ng.service || :
    /usr/lib/systemd/systemd-update-helper install-user-units device-worker-ng-metrics.socket device-worker-ng.service || :
fi
