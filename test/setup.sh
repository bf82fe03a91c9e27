#!/bin/sh
# test/setup.sh: makes this machine ready for the tests. Run by `npm test`; under a second when nothing is to do.
#
# As root on Debian it installs what is missing: Debian packages, and under .cache/tools the programs that judge our
# images but are not in this Debian release (mkcomposefs, a new fsck.erofs), or should not be installed because their
# package starts a service (docker-registry, nginx). Elsewhere it says what is missing; the tests that need it are skipped by name.
# Node modules are installed where they are missing or older than package-lock.json, and an old and a new Node under .cache/tools.
# Where this machine's Node is older than the test runner needs, the new one installs them, and test/with-nodejs.sh takes it.
#
# Environment:
#   OSDEPLOY_TOOLS=DIR          where the tools go (default: .cache/tools in this checkout)
#   OSDEPLOY_TOOLS_SUITE=SUITE  the Debian suite they come from (default: forky)
#   OSDEPLOY_MIRROR=URL         the Debian archive (default: the one of this machine's apt)
#   OSDEPLOY_OFFLINE=1          install nothing, only say what is missing
set -eu
cd "$(dirname "$0")/.."
. test/tools/apt.sh
. test/tools/nodejs.sh

PACKAGES="attr btrfs-progs ca-certificates debian-archive-keyring dosfstools e2fsprogs fdisk gdisk gpg gpg-agent gpgv libatomic1 mount mtools openssl qemu-utils rpm shellcheck skopeo sqlite3 tar xfsprogs xz-utils zstd"
FOREIGN="composefs cosign erofs-utils fsverity skopeo"
PROGRAMS="cosign mkcomposefs composefs-info fsck.erofs dump.erofs fsverity"
SUITE=${OSDEPLOY_TOOLS_SUITE:-forky}
TOOLS=${OSDEPLOY_TOOLS:-.cache/tools}
# what lies there is made anew when this line changes
WANTED="$SUITE: $FOREIGN; 2"
# what osdeploy is tried with beside the Node that runs the tests: the oldest that it promises to run on, and a new one
OLDEST_NODE=20.12.0
NEWEST_NODE=26.10.0

node_modules() {
  # npm writes its hidden lock file last, so it is newer than a lock file that was followed
  if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ] || ! bundler_is_there; then
    say "npm ci"
    (use_node_of_tests && npm ci --no-audit --no-fund --loglevel=error >&2)
  fi
}
# An older Node that installed the modules before left it out.
bundler_is_there() { ls node_modules/@rolldown/binding-* >/dev/null 2>&1; }

debian_packages() {
  _missing=$(missing $PACKAGES)
  [ -n "$_missing" ] || return 0
  if may_install; then need $PACKAGES; else say "not installed, so some tests are skipped: $_missing"; fi
}
may_install() { is_root && [ -z "${OSDEPLOY_OFFLINE:-}" ]; }

tools() {
  [ "$(cat "$TOOLS/.wanted" 2>/dev/null)" != "$WANTED" ] || return 0
  if ! may_install; then
    say "not there, so some tests are skipped: $TOOLS ($FOREIGN of Debian $SUITE); run this script as root"
    return 0
  fi
  say "getting $FOREIGN of Debian $SUITE into $TOOLS"
  rm -f "$TOOLS/.wanted"
  mkdir -p "$TOOLS/bin"
  for _p in $PROGRAMS new-skopeo; do rm -f "$TOOLS/bin/$_p"; done
  if unpack_suite "$SUITE" "$TOOLS/$SUITE" $FOREIGN; then
    for _p in $PROGRAMS; do foreign_program "$_p" "$_p"; done
    # beside the one of this release: a newer one writes tables of contents that older ones do not know
    foreign_program skopeo new-skopeo
  else
    say "Debian $SUITE cannot be had: the tests that need its composefs are skipped"
  fi
  # what could not be had now is tried again next time
  if [ -e "$TOOLS/bin/mkcomposefs" ]; then printf '%s\n' "$WANTED" >"$TOOLS/.wanted"; fi
}

# own_program PACKAGE PATH: a program of this machine's own release whose package is unpacked, not installed
own_program() {
  [ ! -x "$TOOLS/bin/$1" ] || return 0
  if ! may_install; then
    say "not there, so some tests are skipped: $1; run this script as root"
    return 0
  fi
  say "getting $1 into $TOOLS"
  mkdir -p "$TOOLS/bin"
  if unpack_own "$TOOLS/$1" "$1"; then
    ln -sf "../$1/$2" "$TOOLS/bin/$1"
  else
    say "$1 cannot be had: the tests that need it are skipped"
  fi
}

# another_node NAME VERSION: the program of the Node project, as npm has it. Debian's own is linked otherwise.
another_node() {
  mkdir -p "$TOOLS/bin"
  ln -sfn "../$1/bin/node" "$TOOLS/bin/$1"
  [ "$(cat "$TOOLS/$1/.version" 2>/dev/null)" != "$2" ] || return 0
  _there="$TOOLS/$1"
  rm -rf "$_there"
  if [ -n "${OSDEPLOY_OFFLINE:-}" ]; then
    say "not there, so some tests are skipped: $1 (Node $2)"
    return 0
  fi
  say "getting Node $2 into $TOOLS"
  mkdir -p "$_there"
  if npm pack --silent --pack-destination "$_there" "node-linux-$(node -p process.arch)@$2" >/dev/null &&
    tar -xzf "$_there"/*.tgz -C "$_there" --strip-components=1 package/bin/node; then
    rm "$_there"/*.tgz
    printf '%s\n' "$2" >"$_there/.version"
  else
    say "Node $2 cannot be had: the test with it is skipped"
  fi
}

# foreign_program PROGRAM NAME: a wrapper that runs the program with the libraries and the loader of its own suite
foreign_program() {
  cat >"$TOOLS/bin/$2" <<W
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/../$SUITE
for loader in "\$root"/usr/lib*/ld-linux-*.so.*; do break; done
for libraries in "\$root"/usr/lib/*-linux-gnu*; do break; done
exec "\$loader" --library-path "\$libraries" "\$root/usr/bin/$1" "\$@"
W
  chmod 755 "$TOOLS/bin/$2"
}

# npm needs none of the modules, and they may need this Node
another_node node-newest "$NEWEST_NODE"
# libatomic1 is for the new Node
if is_debian; then debian_packages; fi
node_modules
if is_debian; then
  if may_install; then accelerators; fi
  tools
  own_program docker-registry usr/bin/docker-registry
  own_program nginx usr/sbin/nginx
else
  say "not a Debian machine: tests that need mkcomposefs, fsck.erofs, skopeo, docker-registry or nginx run only where those are installed"
fi
another_node node-oldest "$OLDEST_NODE"
