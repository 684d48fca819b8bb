#!/bin/sh
# Prepares and mounts the domain's private volume: /rw, /home and /usr/local come from it.
# A disk that is not blank and has no file system that is known is left alone.
set -eu
disk=/dev/disk/by-id/virtio-private

if [ -z "$(blkid -p -s TYPE -o value "$disk" || true)" ]; then
  if [ -n "$(head -c 4194304 "$disk" | tr -d '\0' | head -c 1)" ]; then
    echo "the private volume is not blank and has no file system that is known: it is left alone" >&2
    exit 1
  fi
  mkfs.ext4 -q -L private -m 0 "$disk"
fi
# 1 says that errors were corrected (e2fsck(8)).
e2fsck -p "$disk" || [ $? -le 1 ]
mkdir -p /rw
mount -o noatime,discard "$disk" /rw
# The volume may have been enlarged since the last start.
resize2fs "$disk" >/dev/null 2>&1 || echo "the file system of the private volume could not be enlarged" >&2

# Made beside its place and moved there whole, so that a guest killed meanwhile starts over.
if [ ! -d /rw/home ]; then
  rm -rf /rw/home.new
  mkdir /rw/home.new
  cp -a /etc/skel /rw/home.new/user
  chown -R user:user /rw/home.new/user
  chmod 0700 /rw/home.new/user
  sync
  mv /rw/home.new /rw/home
fi
if [ ! -d /rw/usrlocal ]; then
  rm -rf /rw/usrlocal.new
  cp -a /usr/local /rw/usrlocal.new
  sync
  mv /rw/usrlocal.new /rw/usrlocal
fi
mount --bind /rw/home /home
mount --bind /rw/usrlocal /usr/local
