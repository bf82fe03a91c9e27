# Everyday work on repos that are sealed by the kernel, and on one that is not.
. /guest/steps.sh

for algorithm in sha512 sha256; do
  repo=/data/$algorithm
  step "$algorithm: init" osdeploy --json repo init --repo $repo --fsverity-algorithm $algorithm
  step "$algorithm: meta, the kernel's digest" fsverity measure $repo/meta.json
  step "$algorithm: meta, its content's digest" fsverity digest --hash-alg=$algorithm $repo/meta.json
  step "$algorithm: pull" osdeploy --json pull --bootable oci:/images:v1 --repo $repo
  step "$algorithm: measure objects" measure_all $repo
  step "$algorithm: fsck" osdeploy --json repo fsck --repo $repo
  victim=$(find $repo/objects -type f | head -n 1)
  step "$algorithm: append to an object" sh -c "echo x >>$victim"
  step "$algorithm: overwrite an object" dd if=/dev/zero of="$victim" bs=1 count=1 conv=notrunc
  look_inside "$algorithm" $repo v1
done

repo=/data/sha512
step "pull again" osdeploy --json pull --bootable oci:/images:v1 --repo $repo
step "pull v2" osdeploy --json pull --bootable oci:/images:v2 --repo $repo
rm "$repo"/streams/refs/oci/*v1*
step "gc" osdeploy --json repo gc --repo $repo
step "fsck after gc" osdeploy --json repo fsck --repo $repo

mkdir /data/sysroot
step "switch to v1" osdeploy --json switch oci:/images:v1 --sysroot /data/sysroot
step "switch to v2" osdeploy --json switch oci:/images:v2 --sysroot /data/sysroot
for entry in /data/sysroot/boot/loader/entries/*; do
  step "entry $(basename "$entry")" cat "$entry"
  root_image=$(sed -n 's/^options.* composefs=\([0-9a-f]*\).*/\1/p' "$entry")
  step "root image of $(basename "$entry")" fsverity measure "$(object /data/sysroot/composefs "$root_image")"
done
step "fsck after switch" osdeploy --json repo fsck --repo /data/sysroot/composefs

repo=/data/insecure
step "insecure: init" osdeploy --json repo init --repo $repo --insecure
step "insecure: pull" osdeploy --json pull --bootable oci:/images:v1 --repo $repo
step "insecure: measure objects" measure_all $repo
look_inside insecure $repo v1
