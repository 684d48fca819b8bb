#!/bin/sh
# Runs once inside a new template, when its packages are there, and removes itself.
set -eu
chown -R root:root /etc/systemd /etc/udev /usr/lib/qubes-manager /usr/share/initramfs-tools
# The guest tools: each file, and the folders that it lies in, once.
sed 1d /usr/lib/qubes-manager/tools | while read -r place; do
  while [ "$place" != . ]; do
    echo "/$place"
    place=$(dirname "$place")
  done
done | sort -u | tr '\n' '\0' | xargs -0 chown root:root
python3 -m compileall -q /usr/lib/qubes-manager/python-*
if [ -e /usr/lib/qubes-manager/xpra.deb ]; then
  dpkg --install /usr/lib/qubes-manager/xpra.deb
  rm /usr/lib/qubes-manager/xpra.deb
fi
useradd --create-home --shell /bin/bash --groups audio user
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
# Every domain gets an identity of its own at each start.
: >/etc/machine-id
# What follows an update of the system follows it in the template: domains, whose system is thrown away, would have to do
# it at each start (systemd-update-done.service(8)).
touch /etc/.updated /var/.updated
rm -f /var/cache/apt/*.bin /var/log/*.log /var/log/apt/* /usr/lib/qubes-manager/setup
