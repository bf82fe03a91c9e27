#!/bin/sh
# build.sh [--variant small|full] [--compression zstd|gzip|none] [--rebuild]
#
# Builds the Debian OS image of images/debian as an OCI layout with the tags v1 and v2, and prints the layout's directory.
# Needs root and apt; from Debian packages alone, of the archive this machine's own apt uses. A finished layout is kept under
# .cache/images and only printed again as long as the recipe is the same. Deterministic on one state of the archive:
# all times are the archive's Release date or older.
#
# Environment: OSDEPLOY_MIRROR (the Debian archive), OSDEPLOY_IMAGES (where layouts go; default .cache/images).
set -eu
cd "$(dirname "$0")/.."
. test/tools/apt.sh

SUITE=trixie
RECIPE=images/debian
variant=small compression=zstd rebuild=
while [ $# -gt 0 ]; do
  case $1 in
  --variant) variant=$2 && shift ;;
  --compression) compression=$2 && shift ;;
  --rebuild) rebuild=1 ;;
  *) die "unknown option $1 (usage: build.sh [--variant small|full] [--compression zstd|gzip|none] [--rebuild])" ;;
  esac
  shift
done
[ -e "$RECIPE/$variant.packages" ] || die "no variant $variant"
case $compression in zstd | gzip | none) ;; *) die "no compression $compression" ;; esac

kept=${OSDEPLOY_IMAGES:-.cache/images}
layout=$kept/debian-$variant-$compression
recipe=$(find images test/tools/apt.sh -type f ! -name '*.md' ! -name Containerfile ! -name try.sh -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-64)
if [ -z "$rebuild" ] && [ "$(cat "$layout.recipe" 2>/dev/null)" = "$recipe" ]; then
  printf '%s\n' "$layout"
  exit 0
fi

is_root || die "needs root: it installs Debian packages into a tree of their own"
is_debian || die "needs a Debian machine: the image is made by mmdebstrap"
need mmdebstrap attr ca-certificates debian-archive-keyring tar zstd
mirror=$(archive)
keys=$(keyring)
architecture=$(dpkg --print-architecture)

mkdir -p "$kept"
work=$(mktemp -d "$kept/.work-XXXXXX")
# --one-file-system: should a mount be left in the tree, its content is not ours to remove
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
work=$(cd "$work" && pwd)
tree=$work/tree
export LC_ALL=C.UTF-8 TZ=UTC

started=$(date +%s)
step() { say "[$(($(date +%s) - started)) s] $*"; }

main() {
  v1_date=$(release_date)
  v2_date=$((v1_date + 7 * 86400))
  step "installing Debian $SUITE ($variant) into a tree"
  install_tree
  inside /bin/sh /configure.sh >>"$work/log" 2>&1 || fail "configure.sh failed"
  rm "$tree/configure.sh"
  step "v1: layers"
  layers v1 "$v1_date"
  step "v2: $(words "$RECIPE/update.packages")"
  update_tree
  step "v2: layers"
  layers v2 "$v2_date"
  step "writing $layout"
  rm -rf "$layout" "$layout.recipe" "$layout.layers.json"
  write_image v1 "$v1_date"
  write_image v2 "$v2_date"
  rm "$layout.layers.json"
  printf '%s\n' "$recipe" >"$layout.recipe"
  step "done: $(du -sm "$layout" | cut -f 1) MB"
  printf '%s\n' "$layout"
}

fail() {
  tail -n 20 "$work/log" >&2
  die "$*"
}

# The date of the archive's Release file. Only a date: mmdebstrap reads and checks the file for itself.
release_date() {
  /usr/lib/apt/apt-helper download-file "$mirror/dists/$SUITE/InRelease" "$work/InRelease" >>"$work/log" 2>&1 ||
    fail "cannot read the Release file of Debian $SUITE"
  date -d "$(sed -n 's/^Date: //p' "$work/InRelease")" +%s
}

words() { sed -e '/^#/d' -e "s/@arch@/$architecture/" "$1" | tr '\n' ' '; }

install_tree() {
  mkdir "$work/debs"
  cp -a "$RECIPE/tree" "$work/files"
  cp "$RECIPE/configure.sh" "$work/files/configure.sh"
  chown -R 0:0 "$work/files"
  chmod -R u=rwX,go=rX "$work/files"
  # Files first: the initramfs is made with their configuration as soon as the kernel is installed.
  # The packages of v2 are fetched while the tree has package lists, and installed later without a network.
  added=$(words "$RECIPE/update.packages")
  SOURCE_DATE_EPOCH=$v1_date mmdebstrap --mode=root --variant=minbase --verbose \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
    --include="$(words "$RECIPE/$variant.packages" | sed 's/ *$//; s/ /,/g')" \
    --essential-hook="cp -a '$work/files/.' \"\$1/\"" \
    --customize-hook='rm "$1"/var/cache/apt/archives/*.deb' \
    --customize-hook="APT_CONFIG=\$MMDEBSTRAP_APT_CONFIG apt-get -y --download-only install $added" \
    --customize-hook="cp \"\$1\"/var/cache/apt/archives/*.deb '$work/debs/'" \
    "$SUITE" "$tree" "deb [signed-by=$keys] $mirror $SUITE main" </dev/null >"$work/log" 2>&1 || fail "mmdebstrap failed"
}

update_tree() {
  mkdir "$tree/debs"
  cp "$work/debs/"*.deb "$tree/debs/"
  printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
  chmod 755 "$tree/usr/sbin/policy-rc.d"
  SOURCE_DATE_EPOCH=$v2_date inside /bin/sh -c 'DEBIAN_FRONTEND=noninteractive dpkg --force-unsafe-io -i /debs/*.deb' \
    >>"$work/log" 2>&1 || fail "the update to v2 failed"
  rm -r "$tree/debs" "$tree/usr/sbin/policy-rc.d"
}

# inside COMMAND...: in the tree, with an API file system of its own that is gone afterwards
inside() {
  # shellcheck disable=SC2016 # for the inner shell
  unshare --mount --propagation private sh -ec '
    tree=$1
    shift
    mount -t proc proc "$tree/proc"
    mount --rbind /sys "$tree/sys"
    mount --rbind /dev "$tree/dev"
    mount -t tmpfs tmpfs "$tree/run"
    mount -t tmpfs tmpfs "$tree/tmp"
    exec chroot "$tree" "$@"' _ "$tree" "$@" </dev/null
}

# layers TAG DATE: the tars of all layers of a release
layers() {
  mkdir -p "$work/$1"
  tidy "$2"
  (cd "$tree" && find . -xdev -mindepth 1 -printf '%y%P\0') >"$work/listing"
  node images/split-layers.mjs "$RECIPE/layers" "$tree/var/lib/dpkg" "$work/$1" <"$work/listing"
  for list in "$work/$1"/*.list; do write_tar "$tree" "$list"; done
  mkdir "$work/top-$1"
  sh "$RECIPE/release.sh" "$tree" "$work/top-$1" "$1"
  find "$work/top-$1" -exec touch -h -d "@$2" {} +
  (cd "$work/top-$1" && find . -mindepth 1 -printf '%P\0' | tr / '\001' | LC_ALL=C sort -z | tr '\001' /) >"$work/$1/9-release.list"
  write_tar "$work/top-$1" "$work/$1/9-release.list"
}

# write_tar DIR LIST: PAX, so that names, owners and attributes of any kind come through. Without access and change
# times, and without tar's process id in the headers' names: those differ from run to run.
write_tar() {
  tar --create --format=posix --pax-option='exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' --numeric-owner \
    --xattrs --xattrs-include='*' --no-recursion --null --directory "$1" --files-from "$2" --file "${2%.list}.tar"
}

# tidy DATE: the tree as an image should have it. What differs from run to run goes, what is newer than the release gets
# its date, kernel and initramfs move to where bootable images keep them.
tidy() {
  for kernel in "$tree"/boot/vmlinuz-*; do
    [ -e "$kernel" ] || continue
    version=${kernel##*/vmlinuz-}
    mv "$kernel" "$tree/usr/lib/modules/$version/vmlinuz"
    mv "$tree/boot/initrd.img-$version" "$tree/usr/lib/modules/$version/initramfs.img"
  done
  (
    cd "$tree"
    rm -rf boot/* initrd.img* vmlinuz* root/.cache var/log/* var/tmp/*
    # of the machine that built it
    rm -rf etc/hostname etc/.resolv.conf* etc/apt/sources.list etc/apt/sources.list.d/* etc/apt/apt.conf.d/99mmdebstrap \
      etc/dpkg/dpkg.cfg.d/99mmdebstrap
    # random, or made on the first boot or use
    rm -rf etc/.pwd.lock etc/ssh/ssh_host_* var/cache/apt/* var/cache/debconf/*-old var/cache/fwupd var/cache/ldconfig/aux-cache \
      var/cache/man/* var/lib/NetworkManager/secret_key var/lib/apt/extended_states* var/lib/apt/lists/* var/lib/chrony/* \
      var/lib/dbus/machine-id var/lib/dpkg/*-old var/lib/dpkg/lock* var/lib/systemd/catalog/database var/lib/systemd/random-seed
    : >etc/machine-id
    rm -f etc/resolv.conf
    ln -s ../run/systemd/resolve/stub-resolv.conf etc/resolv.conf
    mkdir -p boot sysroot # a boot image can be made only of a tree that has both
    find . -xdev ! -type d -newermt "@$1" -print0 | xargs -0 -r touch -h -d "@$1"
    find . -xdev -type d -print0 | xargs -0 touch -h -d "@$v1_date"
  )
}

# write_image TAG DATE
write_image() {
  node images/write-oci.mjs --layout "$layout" --tag "$1" --title debian --architecture "$architecture" \
    --compression "$compression" --created "$2" "$work/$1"/*.tar >&2
}

main
