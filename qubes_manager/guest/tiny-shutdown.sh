#!/bin/sh
# qemu-guest-agent calls this as "shutdown -P|-r|-H +0 …".
sync
case "$1" in -r) exec reboot -f ;; *) exec poweroff -f ;; esac
