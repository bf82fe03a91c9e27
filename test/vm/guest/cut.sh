# A power cut in the middle of a pull. Sourced, with `far_enough` to say when: then the machine resets at once, and what
# was not written to the disk is lost.
. /guest/steps.sh

repo=/data/repo
staged() { find $repo/staging -type f 2>/dev/null; }
named() { find $repo/objects -type f 2>/dev/null; }

[ -e $repo ] || step "init" osdeploy --json repo init --repo $repo
step "fsck before" osdeploy --json repo fsck --repo $repo
osdeploy pull --quiet --bootable oci:/images:big --repo $repo >/dev/console 2>&1 &
pull=$!
until far_enough; do
  kill -0 $pull || break
  usleep 20000
done
step "how far" sh -c "kill -0 $pull && find $repo/staging $repo/objects -type f | cut -d / -f 4 | uniq -c"
usleep 100000 # the serial port is slow
echo b >/proc/sysrq-trigger
