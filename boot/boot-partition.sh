# shellcheck shell=sh
# shellcheck disable=SC2154,SC2031 # $cmdline, $entry, $sequence and $number are of boot-entry.sh
# What is known of the boot partition when the entry that is booted is not good. Sourced after boot-entry.sh; POSIX sh.

# Where the system has it mounted; elsewhere in a test.
: "${system_boot:=/boot}"

# open_boot SYSROOT: sets $boot to the directory of the boot partition, or to nothing where it cannot be had. It is a
# partition of its own where the kernel's arguments let systemd mount one at /boot; else a directory of the root file system.
open_boot() {
  boot=$1/boot boot_mounted=
  for word in $cmdline; do
    case $word in
    systemd.mount-extra=*:/boot:*)
      mount_boot "${word#*=}" "${word#*:/boot:}"
      return 0
      ;;
    esac
  done
}

# mount_boot DEVICE:… TYPE:…
mount_boot() {
  boot=${run:-/run/osdeploy}/boot boot_mounted=1
  said=$(mkdir -p "$boot" 2>&1 && mount -t "${2%%:*}" "${1%%:*}" "$boot" 2>&1) && return 0
  tell "Cannot mount the boot partition: $said"
  boot='' boot_mounted=
}

close_boot() {
  [ -z "$boot_mounted" ] || umount "$boot"
  boot_mounted=
}

# other_entry: sets $other to an entry besides the booted one that the loader would start; fails where there is none
other_entry() {
  [ -n "$boot" ] || return 1
  for other in $(entry_files '*'); do
    case $other in "$entry".conf | "$entry"+* | *+0.conf | *+0-*.conf) continue ;; esac
    other=${other%.conf} && other=${other%%+*}
    grub_environment || return 0
    # GRUB starts none but ours
    entry_number "$other" && [ "$(grub_variable "osdeploy_tries_$number")" != 0 ] && return 0
  done
  return 1
}

# entry_files PATTERN: the names of the files in loader/entries that match PATTERN.conf and are ours, or PATTERN's
entry_files() (
  set +f
  cd "$boot/loader/entries" 2>/dev/null || exit 0
  # shellcheck disable=SC2086 # the pattern
  for file in $1.conf; do
    case $file in *[!A-Za-z0-9._+-]*) ;; *) [ ! -e "$file" ] || echo "$file" ;; esac
  done
)

# give_up: the loader passes over the booted entry from now on. systemd-boot has the tries in the file's name, GRUB in its
# environment. Fails where nothing was left to change: then the loader starts the entry all the same, and would again.
give_up() {
  if grub_environment; then
    [ "$(grub_variable "osdeploy_tries_$sequence")" != 0 ] && set_grub_variable "osdeploy_tries_$sequence" 0 && sync
    return
  fi
  given_up=
  for file in $(entry_files "$entry"; entry_files "$entry+*"); do
    case $file in
    *+0.conf | *+0-*.conf) continue ;;
    *+*-*) done=-${file##*-} && done=${done%.conf} ;;
    *) done= ;;
    esac
    mv "$boot/loader/entries/$file" "$boot/loader/entries/$entry+0$done.conf" || return 1
    given_up=1
  done
  sync
  [ -n "$given_up" ]
}

# grub_took_try LEFT: whether GRUB could write down that LEFT tries are left. It cannot on a file system that it only reads;
# then every boot looks counted, and a reboot comes back here for ever. Where its file cannot be reached GRUB is believed.
# shellcheck disable=SC2030,SC2031 # a subshell, so that it leaves $boot as it was
grub_took_try() (
  opened_here=
  if [ -z "${boot+opened}" ]; then
    opened_here=1 boot=$system_boot boot_mounted=
    grub_environment || { find_physical_root && open_boot "$physical_root"; } || exit 0
  fi
  [ -n "$boot" ] || exit 0
  [ "$(grub_variable "osdeploy_tries_$sequence")" = "$1" ] && took=0 || took=1
  [ -z "$opened_here" ] || close_boot
  exit "$took"
)

# grub_environment: sets $grubenv to the file of GRUB's variables; fails where there is none
grub_environment() {
  for grubenv in "$boot/grub/grubenv" "$boot/grub2/grubenv"; do [ ! -f "$grubenv" ] || return 0; done
  return 1
}

# grub_variable NAME: prints its value
grub_variable() {
  grub_environment || return 0
  while IFS= read -r line; do
    case $line in "$1"=*) printf '%s' "${line#*=}" ;; esac
  done <"$grubenv"
}

# set_grub_variable NAME VALUE: the file always has 1024 bytes: a title, the variables, and as many # as are needed
set_grub_variable() {
  text='# GRUB Environment Block
'
  while IFS= read -r line; do
    case $line in '#'* | "$1"=*) ;; *) text="$text$line
" ;; esac
  done <"$grubenv"
  text="$text$1=$2
"
  [ ${#text} -le 1024 ] || return 1
  while [ ${#text} -lt 1024 ]; do text="$text#"; done
  printf '%s' "$text" >"$grubenv.new" && sync && mv "$grubenv.new" "$grubenv"
}
