#!/bin/sh
# release.sh TREE TOP TAG: makes the tree of the topmost layer of release TAG in TOP, over the installed TREE: what a
# Containerfile on top of a base image gives. Changed, added and removed files, and every awkward thing a layer may hold,
# so that tests on the real image meet them.
set -eu
tree=$1 top=$2 tag=$3

mkdir -p "$top/etc/ssh/sshd_config.d" "$top/etc/skel" "$top/usr/lib/release/settings" "$top/usr/libexec/release" \
  "$top/usr/share/common-licenses" "$top/usr/share/doc" "$top/usr/share/release/empty-directory" "$top/var/lib/release"

# changed: each release says which one it is
cp "$tree/usr/lib/os-release" "$top/usr/lib/os-release"
printf 'IMAGE_ID=debian\nIMAGE_VERSION=%s\n' "$tag" >>"$top/usr/lib/os-release"
printf 'debian\n' >"$top/etc/hostname"
printf 'Release %s\n' "$tag" >"$top/etc/motd"
printf 'PermitRootLogin prohibit-password\n' >"$top/etc/ssh/sshd_config.d/50-image.conf"
for i in 1 2 3 4 5 6 7 8 9; do
  printf 'setting=%s\n' "$i" >"$top/usr/lib/release/settings/$i.conf"
done
printf 'release=%s\n' "$tag" >"$top/usr/lib/release/settings/release.conf"
printf 'release=%s\n' "$tag" >"$top/etc/release.conf"

# removed: a directory, and from the second release on a file
: >"$top/usr/share/doc/.wh.adduser"
[ "$tag" = v1 ] || : >"$top/usr/share/common-licenses/.wh.Artistic"
# emptied and filled anew. The mark sorts before what fills it: composefs-rs lets it hide what came before in its own layer
: >"$top/etc/skel/.wh..wh..opq"
printf 'This directory is copied to new home directories.\n' >"$top/etc/skel/README"

# awkward: names, kinds, modes, owners, links, attributes
printf '#!/bin/sh\nexec sleep infinity\n' >"$top/usr/libexec/release/agent"
chmod 0755 "$top/usr/libexec/release/agent"
units=$top/usr/lib/systemd/system
mkdir -p "$units/multi-user.target.wants"
printf '[Unit]\nDescription=Agent of Release %s\n\n[Service]\nExecStart=/usr/libexec/release/agent\n' "$tag" >"$units/release-agent.service"
ln -s ../release-agent.service "$units/multi-user.target.wants/release-agent.service"
ln "$top/usr/libexec/release/agent" "$top/usr/libexec/release/agent-hard-link"
ln -s agent "$top/usr/libexec/release/agent-symlink"
setfattr -n user.release -v "$tag" "$top/usr/libexec/release/agent"
# cap_net_bind_service+ep, as setcap writes it: bytes that are no text
cp "$top/usr/libexec/release/agent" "$top/usr/libexec/release/capable"
chmod 0755 "$top/usr/libexec/release/capable"
setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 "$top/usr/libexec/release/capable"
printf 'x' >"$top/usr/libexec/release/setuid"
chmod 4755 "$top/usr/libexec/release/setuid"
: >"$top/usr/share/release/empty-file"
printf 'name\n' >"$top/usr/share/release/name with spaces, ümlaut and ☃"
printf 'name\n' >"$top/usr/share/release/$(printf 'not-utf8-\377')"
component=$(printf '%0120d' 0)
mkdir -p "$top/usr/share/release/$component/$component"
printf 'path\n' >"$top/usr/share/release/$component/$component/file"
mkfifo "$top/usr/share/release/fifo"
chown 1000:1000 "$top/var/lib/release"
chmod 2750 "$top/var/lib/release"
