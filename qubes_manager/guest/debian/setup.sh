#!/bin/sh
# Runs once inside a new template, when its packages are there, and removes itself.
set -eu
chown -R root:root /etc/systemd /etc/udev /usr/lib/qubes-manager /usr/share/initramfs-tools
useradd --create-home --shell /bin/bash user
passwd --lock --quiet root
echo 'user ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/qubes-manager
chmod 0440 /etc/sudoers.d/qubes-manager
echo 'LABEL=root / ext4 noatime,discard,errors=remount-ro,x-systemd.growfs 0 1' >/etc/fstab
echo localhost >/etc/hostname
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >/etc/hosts
systemctl --quiet enable systemd-networkd systemd-resolved qubes-manager-private qubes-manager-gui
# Nothing here waits for the network, and a machine without one must not take two minutes to start.
systemctl --quiet mask systemd-networkd-wait-online.service
# A domain's system is thrown away, and a template is updated when its user says so: neither looks after itself.
systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service dpkg-db-backup.timer
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
# Debian's session script opens a terminal where there is no desktop to start.
[ ! -f /etc/xpra/conf.d/60_server.conf ] || sed -i '/^start *=/d' /etc/xpra/conf.d/60_server.conf
# Every domain gets an identity of its own at each start.
: >/etc/machine-id
rm -f /var/cache/apt/*.bin /var/log/*.log /var/log/apt/* /usr/lib/qubes-manager/setup
