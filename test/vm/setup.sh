#!/bin/sh
# test/vm/setup.sh: gets what the tests on virtual machines need. Run by `npm run test:vm`; at once when nothing is to do.
#
# Unpacks packages of Debian 13 below .cache/tools/vm and installs nothing: QEMU (Debian 12's own is not reliable without
# KVM) with its UEFI firmware, a kernel that has fs-verity, the few programs that the guest needs, and those that look into
# disk files. About 20 s and 300 MB.
# As root on Debian 12 or 13 on x86-64; elsewhere the tests are skipped by name.
#
# Environment: as for test/setup.sh, without the suite.
set -eu
cd "$(dirname "$0")/../.."
. test/tools/apt.sh

PACKAGES="busybox-static e2fsprogs fdisk fsverity grub-common grub-efi-amd64-bin linux-image-cloud-amd64 mtools ovmf qemu-system-x86 qemu-utils systemd-boot systemd-boot-tools"
TOOLS=${OSDEPLOY_TOOLS:-.cache/tools}
# what lies there is made anew when this line changes
WANTED="trixie: $PACKAGES; 3"

# wrap PROGRAM: a program for PATH that runs with the libraries of its own suite
wrap() {
  cat >"$TOOLS/vm/path/$1" <<W
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/..
libraries=\$root/usr/lib/x86_64-linux-gnu
export QEMU_MODULE_DIR="\$libraries/qemu"
set -- "\$root/usr/bin/$1" "\$@"
case $1 in qemu-system-*) set -- "\$@" -L "\$root/usr/share/qemu" -L "\$root/usr/share/seabios" ;; esac
exec "\$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "\$libraries" "\$@"
W
  chmod 755 "$TOOLS/vm/path/$1"
}

main() {
  [ "$(cat "$TOOLS/.vm" 2>/dev/null)" != "$WANTED" ] || return 0
  if ! is_debian || [ "$(uname -m)" != x86_64 ]; then
    say "not an x86-64 Debian machine: the tests on virtual machines are skipped"
  elif ! is_root || [ -n "${OSDEPLOY_OFFLINE:-}" ]; then
    say "not there, so the tests on virtual machines are skipped: $TOOLS/vm; run this script as root"
  else
    say "getting $PACKAGES of Debian trixie into $TOOLS/vm"
    rm -f "$TOOLS/.vm"
    mkdir -p "$TOOLS"
    unpack_suite trixie "$TOOLS/vm" $PACKAGES || die "Debian trixie cannot be had"
    mkdir "$TOOLS/vm/path"
    for _p in qemu-img qemu-system-x86_64; do wrap "$_p"; done
    printf '%s\n' "$WANTED" >"$TOOLS/.vm"
  fi
}

main
