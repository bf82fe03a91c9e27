#!/bin/sh
# test/vm/setup.sh: gets what the tests on virtual machines need. Run by `npm run test:vm`; at once when nothing is to do.
#
# Unpacks packages of Debian 13 below .cache/tools/vm and installs nothing: QEMU (Debian 12's own is not reliable without
# KVM), a kernel that has fs-verity, and the few programs that the guest needs. About 15 s and 260 MB.
# As root on Debian 12 or 13 on x86-64; elsewhere the tests are skipped by name.
#
# Environment: as for test/setup.sh, without the suite.
set -eu
cd "$(dirname "$0")/../.."
. test/tools/apt.sh

PACKAGES="busybox-static e2fsprogs fsverity linux-image-cloud-amd64 qemu-system-x86"
TOOLS=${OSDEPLOY_TOOLS:-.cache/tools}
# what lies there is made anew when this line changes
WANTED="trixie: $PACKAGES; 1"

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
    printf '%s\n' "$WANTED" >"$TOOLS/.vm"
  fi
}

main
