#!/bin/sh
# try.sh: the main job of osdeploy, from a fresh clone to a deployed operating system image. Needs root on Debian 12 or 13, Node >= 20.12
# and npm; installs what else is missing, and changes nothing else outside of this checkout.
#
# Builds a real, bootable Debian image in two releases, pushes them to a real registry on loopback, and deploys first v1, then v2,
# to a fresh sysroot in .cache/try/sysroot, which stays there to look at. The second run takes seconds.
set -eu
cd "$(dirname "$0")/.."
. test/tools/apt.sh

started=$(date +%s)
place=.cache/try
sysroot=$place/sysroot
registry=

main() {
  check_machine
  title "Prepare: Debian packages, Node modules, a build of osdeploy"
  show sh test/setup.sh
  show npm run --silent build
  title "A real OS image, in two releases"
  show sh images/build.sh
  layout=$(sh images/build.sh 2>/dev/null)
  title "A registry on loopback"
  start_registry
  for tag in v1 v2; do
    show skopeo --insecure-policy copy --quiet --dest-tls-verify=false "oci:$layout:$tag" "docker://$image:$tag"
  done
  title "Deploy v1, then v2"
  show mkdir "$sysroot"
  for tag in v1 v2; do
    show osdeploy switch "$image:$tag" --sysroot "$sysroot"
  done
  show osdeploy status --sysroot "$sysroot"
  title "What the two deployments share"
  v1=$(digest v1) v2=$(digest v2)
  differ
  title "Every byte in the repo is as its name says"
  show osdeploy repo fsck --repo "$sysroot/composefs"
  if kernel_mounts; then
    title "The kernel mounts what was deployed"
    look_inside
  else
    title "Mounting a root image needs Linux 6.5, this is $(uname -r); so osdeploy reads a file of it"
    show osdeploy image cat --bootable --repo "$sysroot/composefs" "$v2" /usr/lib/os-release
  fi
  summary
}

check_machine() {
  is_root && is_debian || die "run this as root on Debian 12 or 13: it installs packages, and mounts"
  command -v node >/dev/null && command -v npm >/dev/null || die "needs Node 20.12 or newer, and npm"
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 12) ? 0 : 1)' ||
    die "needs Node 20.12 or newer, this is $(node --version)"
}

title() { printf '\n# %s\n' "$*"; }

# show COMMAND...: prints the command as one would type it, then runs it
show() {
  printf '$ %s\n' "$*"
  "$@"
}
osdeploy() { node dist/cli/main.js "$@"; }

start_registry() {
  rm -rf "$place"
  mkdir -p "$place/registry"
  port=$(node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
  cat >"$place/registry.yml" <<C
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $PWD/$place/registry}}
http: {addr: "127.0.0.1:$port"}
C
  program=$(command -v docker-registry || echo "${OSDEPLOY_TOOLS:-.cache/tools}/bin/docker-registry")
  printf '$ %s\n' "$program serve $place/registry.yml &"
  OTEL_TRACES_EXPORTER=none "$program" serve "$place/registry.yml" >"$place/registry.log" 2>&1 &
  registry=$!
  trap stop_registry EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  for _ in $(seq 100); do
    ! node -e 'fetch(process.argv[1]).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))' "http://127.0.0.1:$port/v2/" || break
    kill -0 "$registry" 2>/dev/null || die "the registry did not start: $(tail -n 3 "$place/registry.log")"
    sleep 0.1
  done
  image=localhost:$port/debian
}
stop_registry() { [ -z "$registry" ] || kill "$registry" 2>/dev/null || true; }

# digest TAG: of the manifest in the registry. Deployed images are in the repo under their digests: tags move.
digest() { skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$image:$1"; }

# The paths that differ are many (dpkg's database, times); the last line tells what is shared.
differ() {
  set -- osdeploy image diff --bootable --repo "$sysroot/composefs" "$v1" "$v2"
  printf '$ %s | grep -vE "/var/lib/dpkg|/usr/share|[(]time[)]$"\n' "$*"
  "$@" | grep -vE '/var/lib/dpkg|/usr/share|[(]time[)]$'
}

# Whether overlayfs has data-only layers: since 6.5
kernel_mounts() { [ "$(printf '6.5\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.5 ]; }

# In a mount namespace of its own: the mount is gone with it.
look_inside() {
  mkdir -p "$place/mnt"
  printf '$ osdeploy image mount --bootable --repo %s %s %s\n' "$sysroot/composefs" "$v2" "$place/mnt"
  # shellcheck disable=SC2016 # for the inner shell
  unshare --mount --propagation private sh -euc '
    node dist/cli/main.js image mount --bootable --repo "$1" "$2" "$3"
    for command in "findmnt --noheadings --output FSTYPE,OPTIONS $3" "grep -E ^(PRETTY_NAME|IMAGE_VERSION)= $3/usr/lib/os-release" "cat $3/etc/motd"; do
      printf "\$ %s\n" "$command"
      $command
    done
  ' sh "$sysroot/composefs" "$v2" "$place/mnt"
}

summary() {
  title "Done in $(($(date +%s) - started)) s"
  cat <<T
Two releases of a bootable Debian were pulled from a registry and deployed to $sysroot:
  $sysroot/composefs        the repo: every file once, named by its fs-verity digest
  $sysroot/state/deploy     /etc and /var of each deployment
  $sysroot/boot             kernels, initramfs and boot entries
Look again:  node dist/cli/main.js status --sysroot $sysroot
T
}

main
