#!/bin/sh
# Runs inside the new tree after all packages are in: what an administrator would set for an image-based system.
set -eu

systemctl enable systemd-resolved.service
# the full variant has NetworkManager instead
[ -e /usr/sbin/NetworkManager ] || systemctl enable systemd-networkd.service

# An image is replaced as a whole: nothing in it looks for updates, waits for a network that may not come,
# or rebuilds at boot (ldconfig.service would, as /etc looks older than /usr) what the image already holds.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  man-db.timer systemd-networkd-wait-online.service NetworkManager-wait-online.service ldconfig.service \
  systemd-boot-update.service e2scrub_reap.service dracut-shutdown.service; do
  systemctl mask "$unit"
done

# What people and services keep in these is theirs, and no part of the image.
mkdir -p /var/home /var/srv
mv /root /var/roothome
rmdir /home /srv
ln -s var/roothome /root
ln -s var/home /home
ln -s var/srv /srv
