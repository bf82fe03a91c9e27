#!/bin/sh
# build.sh [--variant small|full] [--compression zstd|gzip|none] [--rebuild]
#
# Builds the Debian OS image of images/debian, with osdeploy in it, as an OCI layout with the tags v1 and v2, and three broken
# releases on top of v2: panic, hang and sick. Prints the layout's directory. Needs root, apt, and osdeploy built (npm run build).
# From Debian packages alone, of the archive this machine's own apt uses. Kept under .cache/images, each as long as what it
# is made from is the same: the installed packages, the initramfs, the layout. So after a change of osdeploy only its own
# layer is made anew. Deterministic on one state of the archive: all times are the archive's Release date or older.
#
# Environment: OSDEPLOY_MIRROR (the Debian archive), OSDEPLOY_IMAGES (where all this goes; default .cache/images),
# OSDEPLOY_DIST (the build of osdeploy that goes into the image; default dist).
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
dist=${OSDEPLOY_DIST:-dist}
[ -e "$dist/cli/main.js" ] || die "osdeploy goes into the image and is not built: npm ci && npm run build"

# digest_of PATH...: of the files there and their names
digest_of() { find "$@" -type f ! -name '*.md' ! -name Containerfile -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-64; }

kept=${OSDEPLOY_IMAGES:-.cache/images}
layout=$kept/debian-$variant-$compression
base=$kept/base-$variant
base_recipe=$(digest_of $RECIPE/*.packages $RECIPE/tree $RECIPE/configure.sh $RECIPE/layers $RECIPE/*.cfg images/build.sh images/split-layers.mjs test/tools/apt.sh)
initramfs_recipe=$base_recipe-$(digest_of boot)
recipe=$initramfs_recipe-$compression-$(digest_of "$dist" images package.json package-lock.json node_modules/.package-lock.json)
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
# one build at a time
exec 8>"$kept/.lock"
flock 8
work=$(mktemp -d "$kept/.work-XXXXXX")
# --one-file-system: should a mount be left in the tree, its content is not ours to remove
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM
work=$(cd "$work" && pwd)
export LC_ALL=C.UTF-8 TZ=UTC

started=$(date +%s)
step() { say "[$(($(date +%s) - started)) s] $*"; }

main() {
  if [ -n "$rebuild" ] || [ "$(cat "$base/recipe" 2>/dev/null)" != "$base_recipe" ]; then build_base; fi
  v1_date=$(cat "$base/date")
  v2_date=$((v1_date + 7 * 86400))
  tree=$(cd "$base" && pwd)/tree
  step "osdeploy"
  top osdeploy "$v1_date" env OSDEPLOY_DIST="$dist" sh boot/install.sh
  if [ -n "$rebuild" ] || [ "$(cat "$base/initramfs.recipe" 2>/dev/null)" != "$initramfs_recipe" ]; then build_initramfs; fi
  for tag in v1 v2; do
    if [ $tag = v1 ]; then date=$v1_date; else date=$v2_date; fi
    top release-$tag "$date" release "$tag"
  done
  for tag in panic hang sick; do top "$tag" "$v2_date" sh "$RECIPE/broken.sh" "$tag"; done
  step "writing $layout"
  rm -f "$layout.recipe"
  write_image v1 "$v1_date" "$base"/v1/*.tar "$work/osdeploy.tar" "$base/initramfs.tar" "$work/release-v1.tar"
  write_image v2 "$v2_date" "$base"/v2/*.tar "$work/osdeploy.tar" "$base/initramfs.tar" "$work/release-v2.tar"
  for tag in panic hang sick; do
    write_image $tag "$v2_date" "$base"/v2/*.tar "$work/osdeploy.tar" "$base/initramfs.tar" "$work/release-v2.tar" "$work/$tag.tar"
  done
  node images/write-oci.mjs --layout "$layout" --prune
  printf '%s\n' "$recipe" >"$layout.recipe"
  step "done: $(du -sm "$layout" | cut -f 1) MB"
  printf '%s\n' "$layout"
}

# build_base: what osdeploy has no part in: the layers of the packages of both releases, and the tree of the first
build_base() {
  tree=$work/base/tree
  mkdir "$work/base"
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
  printf '%s\n' "$v1_date" >"$work/base/date"
  printf '%s\n' "$base_recipe" >"$work/base/recipe"
  rm -rf --one-file-system "$base"
  mv "$work/base" "$base"
}

# build_initramfs: by dracut, in the tree with osdeploy over it, which is there for the time of a mount. The kernel is in v1 and
# v2 the same, and so is the initramfs.
build_initramfs() {
  step "initramfs"
  version=$(basename "$tree"/usr/lib/modules/*)
  mkdir -p "$work/initramfs/usr/lib/modules/$version" "$work/merged"
  # shellcheck disable=SC2016 # for the inner shell
  unshare --mount --propagation private sh -ec '
    mount -t overlay -o "ro,lowerdir=$1:$2" overlay "$3"
    tree=$3 output=$4
    shift 4
    mount -t proc proc "$tree/proc"
    mount --rbind /sys "$tree/sys"
    mount --rbind /dev "$tree/dev"
    mount -t tmpfs tmpfs "$tree/run"
    mount -t tmpfs tmpfs "$tree/tmp"
    mount -t tmpfs tmpfs "$tree/var/tmp"
    mount --bind "$output" "$tree/mnt"
    exec chroot "$tree" "$@"' _ "$work/osdeploy" "$tree" "$work/merged" "$work/initramfs/usr/lib/modules/$version" \
    env SOURCE_DATE_EPOCH="$v1_date" dracut --kver "$version" /mnt/initramfs.img </dev/null >>"$work/log" 2>&1 || fail "dracut failed"
  chmod 644 "$work/initramfs/usr/lib/modules/$version/initramfs.img"
  seal_top initramfs "$v1_date"
  mv "$work/initramfs.tar" "$base/initramfs.tar"
  printf '%s\n' "$initramfs_recipe" >"$base/initramfs.recipe"
}

release() { sh "$RECIPE/release.sh" "$tree" "$2" "$1"; }

# top NAME DATE COMMAND...: a layer of its own, of what COMMAND DIR puts into DIR
top() {
  name=$1 date=$2
  shift 2
  mkdir -p "$work/$name"
  "$@" "$work/$name" >>"$work/log" 2>&1 || fail "$* failed"
  seal_top "$name" "$date"
}

seal_top() {
  find "$work/$1" -exec touch -h -d "@$2" {} +
  (cd "$work/$1" && find . -mindepth 1 -printf '%P\0' | tr / '\001' | LC_ALL=C sort -z | tr '\001' /) >"$work/$1.list"
  write_tar "$work/$1" "$work/$1.list"
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
  # Files first, so that packages are configured with them.
  # The packages of v2 are fetched while the tree has package lists, and installed later without a network.
  added=$(words "$RECIPE/update.packages")
  # INITRD: the initramfs is made later, with osdeploy.
  SOURCE_DATE_EPOCH=$v1_date INITRD=No mmdebstrap --mode=root --variant=minbase --verbose \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io --dpkgopt="$RECIPE/$variant.dpkg.cfg" \
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
  # What v1 leaves out v2 leaves out: a directory of manuals alone would move to another layer, and the first one be pulled again.
  cp "$RECIPE/$variant.dpkg.cfg" "$tree/etc/dpkg/dpkg.cfg.d/update"
  printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
  chmod 755 "$tree/usr/sbin/policy-rc.d"
  SOURCE_DATE_EPOCH=$v2_date inside /bin/sh -c 'DEBIAN_FRONTEND=noninteractive dpkg --force-unsafe-io -i /debs/*.deb' \
    >>"$work/log" 2>&1 || fail "the update to v2 failed"
  rm -r "$tree/debs" "$tree/usr/sbin/policy-rc.d" "$tree/etc/dpkg/dpkg.cfg.d/update"
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

# layers TAG DATE: the tars of the layers of a release that packages make
layers() {
  mkdir -p "$work/base/$1"
  tidy "$2"
  (cd "$tree" && find . -xdev -mindepth 1 -printf '%y%P\0') >"$work/listing"
  node images/split-layers.mjs "$RECIPE/layers" "$tree/var/lib/dpkg" "$work/base/$1" <"$work/listing"
  for list in "$work/base/$1"/*.list; do
    write_tar "$tree" "$list"
    rm "$list"
  done
}

# write_tar DIR LIST: PAX, so that names, owners and attributes of any kind come through. Without access and change
# times, and without tar's process id in the headers' names: those differ from run to run.
write_tar() {
  tar --create --format=posix --pax-option='exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' --numeric-owner \
    --xattrs --xattrs-include='*' --no-recursion --null --directory "$1" --files-from "$2" --file "${2%.list}.tar"
}

# tidy DATE: the tree as an image should have it. What differs from run to run goes, what is newer than the release gets
# its date, the kernel moves to where bootable images keep it.
tidy() {
  for kernel in "$tree"/boot/vmlinuz-*; do
    [ -e "$kernel" ] || continue
    version=${kernel##*/vmlinuz-}
    place=$tree/usr/lib/modules/$version/vmlinuz
    # newer packages have it there as well, as a hard link, which mv refuses to write over
    rm -f "$place"
    mv "$kernel" "$place"
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

# write_image TAG DATE TAR...
write_image() {
  tag=$1 date=$2
  shift 2
  node images/write-oci.mjs --layout "$layout" --tag "$tag" --title debian --architecture "$architecture" \
    --compression "$compression" --created "$date" "$@" >&2
}

main
