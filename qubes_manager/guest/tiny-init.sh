#!/bin/sh
# Init of the tiny guest: drivers, the guest agent, a line on the serial console. Nothing persists.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /tmp /run /root /home/user /mnt
mount -t devpts devpts /dev/pts
chmod 1777 /tmp
chown 1000:1000 /home/user
exec >/dev/console 2>&1
hostname tiny
for module in virtio_pci virtio_console; do modprobe "$module"; done
port=
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
  for name in /sys/class/virtio-ports/*/name; do
    if [ "$(cat "$name" 2>/dev/null)" = org.qemu.guest_agent.0 ]; then
      port=/dev/$(basename "$(dirname "$name")")
    fi
  done
  [ -n "$port" ] && break
  sleep 0.2
done
echo "tiny guest is up, agent port: ${port:-none}"
# The port reads end-of-file while the host has not opened it: start again for ever.
while [ -n "$port" ]; do
  qemu-ga -m virtio-serial -p "$port" -t /run
  sleep 0.2
done &
# The other drivers come behind the agent, which is what the host waits for.
for module in $(cat /etc/modules); do modprobe "$module"; done
echo "tiny guest has all its drivers"
while :; do setsid sh -c 'exec sh </dev/ttyS0 >/dev/ttyS0 2>&1' || sleep 1; done
