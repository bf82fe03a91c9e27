# What all scenarios use. Sourced. Their standard output is read by test/vm/machine.ts.
. /guest/variables.sh

disk=/dev/vda
data_mount() { mount -t ext4 "$disk" /data; }
data_mount

# step NAME COMMAND...: runs the command and tells what it did
step() {
  printf '@begin %s\n' "$1"
  echo "$(cut -d ' ' -f 1 /proc/uptime) $1" >/dev/console
  shift
  "$@" >/tmp/stdout 2>/tmp/stderr </dev/null
  printf '@end %s\n' $?
  cat /tmp/stdout
  printf '\n@stderr\n'
  cat /tmp/stderr
  printf '\n@done\n'
}

# object REPO ID: the path of an object
object() { echo "$1/objects/$(echo "$2" | cut -c 1-2)/$(echo "$2" | cut -c 3-)"; }

# measure_all REPO: what the kernel measures of each object
measure_all() { find "$1/objects" -type f | xargs fsverity measure; }

# digest_all: of each file below /mnt
digest_all() { (cd /mnt && find . -type f | xargs sha256sum); }

# look_inside NAME REPO TAG: mounts an image, and tells what is in it
look_inside() {
  step "$1: mount" osdeploy --json image mount --bootable --repo "$2" "oci:/images:$3" /mnt
  step "$1: mounts" grep ' /mnt ' /proc/mounts
  step "$1: contents" digest_all
  step "$1: unmount" umount /mnt
}
