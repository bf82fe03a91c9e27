# shellcheck shell=sh
# What setup-root, health-check and boot-deadline know of the boot entry that is booted. Sourced; POSIX sh.
#
# An entry is *counted* when the loader took one of its tries before it started it. Then a reboot is the way back: when the
# tries are used up, the loader starts another entry. On an entry that is not counted a reboot would only come here again.

# Where a test has them elsewhere.
: "${cmdline_file:=/proc/cmdline}" "${kmsg:=/dev/kmsg}" "${reboot_program:=}"
: "${efi_variables:=/sys/firmware/efi/efivars}" "${physical_root:=}"
count_variable=LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f

# tell TEXT: to the journal by way of standard error, and to the console even where the kernel is told to be quiet
tell() {
  printf 'osdeploy: %s\n' "$1" >&2
  # 3: an error
  { printf '<3>osdeploy: %s\n' "$1" >"$kmsg"; } 2>/dev/null || :
}

# read_cmdline: sets $cmdline to the kernel's arguments, separated by white space. Inside of double quotes white space does
# not separate, so it becomes a byte that nothing looks for.
read_cmdline() {
  set -f
  text='' mark=
  IFS= read -r text <"$cmdline_file" || :
  case $text in *'"'*) mark=$(printf '\001') ;; esac
  saved_ifs=$IFS IFS='"'
  # shellcheck disable=SC2086 # split at the quotes
  set -- $text
  IFS=$saved_ifs
  cmdline='' quoted=
  for piece in "$@"; do
    if [ -z "$quoted" ]; then
      cmdline=$cmdline$piece quoted=1
    else
      for word in $piece; do cmdline=$cmdline$mark$word; done
      quoted=
    fi
  done
}

# argument NAME: sets $value to the value of the last argument NAME=…; fails where there is none
argument() {
  value='' found=1
  for word in $cmdline; do
    case $word in "$1"=*) value=${word#*=} found=0 ;; esac
  done
  return $found
}

# read_entry: sets $entry to the name of the booted entry (osdeploy-000012) and $sequence to its number; both are empty
# where the kernel's arguments do not name one of ours
read_entry() {
  entry='' sequence=
  argument osdeploy.entry || return 0
  # shellcheck disable=SC2034 # for boot-partition.sh
  if entry_number "$value"; then entry=$value sequence=$number; fi
}

# read_counted_entry: read_entry from what systemd-boot says that it counted, for arguments that do not say it: a quote that is left
# open hides all that follows. It comes second, because it outlives a kexec to another entry. Fails where it names none of ours.
read_counted_entry() {
  count_path=$efi_variables/$count_variable
  [ -e "$count_path" ] || return 1
  value=$(tr -d '\000' <"$count_path")
  value=${value##*\\}
  case $value in *+*.conf) entry_number "${value%%+*}" || return 1 ;; *) return 1 ;; esac
  # shellcheck disable=SC2034 # for boot-partition.sh
  entry=${value%%+*} sequence=$number
}

# entry_number NAME: sets $number to the number of an entry of ours, without leading zeros; fails for other names
entry_number() {
  digits=${1#osdeploy-}
  case $digits in "$1" | '' | *[!0-9]*) return 1 ;; esac
  while [ ${#digits} -gt 1 ] && [ "${digits#0}" != "$digits" ]; do digits=${digits#0}; done
  number=$digits
}

# says_counted: whether the loader says that it took a try for this boot: systemd-boot by a variable of the firmware, GRUB by an
# argument
says_counted() {
  count_path=$efi_variables/$count_variable
  [ -e "$count_path" ] || argument osdeploy.tries
}

# is_counted: whether the loader took a try for this boot, so that a reboot comes nearer to another entry. There are three tries:
# systemd-boot goes on counting what was done when none is left, where there is nothing else that it would start.
is_counted() {
  says_counted || return 1
  if [ -e "$count_path" ]; then
    case $(tr -d '\000' <"$count_path") in *+0-[4-9].conf | *+0-[1-9][0-9]*.conf) return 1 ;; esac
  else
    grub_took_try "$value"
  fi
}

# find_physical_root: sets $physical_root to where the root file system of the disk is mounted, which holds repo and
# deployments; fails where that is not known (yet)
find_physical_root() {
  for directory in ${physical_root:-/sysroot/sysroot /sysroot /root/sysroot /root}; do
    if [ -d "$directory/state/deploy" ]; then
      physical_root=$directory
      return 0
    fi
  done
  return 1
}

# record_failure REASON: keeps for the next good boot why this one failed. Durable when it returns; never the cause of another failure.
record_failure() {
  [ -n "$entry" ] && find_physical_root || return 0
  was_writable=
  if [ -w "$physical_root" ]; then was_writable=1; fi
  mount -o remount,bind,rw "$physical_root" 2>/dev/null || :
  mount -o remount,rw "$physical_root" 2>/dev/null || :
  failures=$physical_root/state/osdeploy/boot-failures
  if mkdir -p "$failures" && printf '%s\n' "$1" >"$failures/.$entry.new" && mv "$failures/.$entry.new" "$failures/$entry"; then
    sync
  else
    tell "Cannot record why the boot failed in $failures/$entry"
  fi
  # The machine may stay up.
  [ -n "$was_writable" ] || mount -o remount,bind,ro "$physical_root" 2>/dev/null || :
}

# reboot_now: without the rest of the system, which may hang
reboot_now() {
  sync
  if [ -n "$reboot_program" ]; then
    "$reboot_program"
    exit 0
  fi
  echo s >/proc/sysrq-trigger
  echo u >/proc/sysrq-trigger
  sleep 1
  echo b >/proc/sysrq-trigger
  reboot -f
  exit 1
}
