# Bytes that change on the disk behind the kernel's back.
. /guest/steps.sh

repo=/data/repo
pages_until_tree() { echo $((($1 + 65535) / 65536 * 16)); }

# flip PATH PAGE OFFSET: inverts one byte of a file that no mount holds, or of what ext4 keeps behind its end
flip() {
  block=$(debugfs -R "bmap ${1#/data} $2" "$disk" 2>/dev/null)
  at=$((block * 4096 + $3))
  byte=$(dd if="$disk" bs=1 skip=$at count=1 2>/dev/null | od -An -tu1)
  printf "\\$(printf %o $((byte ^ 255)))" | dd of="$disk" bs=1 seek=$at conv=notrunc 2>/dev/null
  echo "$1: page $2 is block $block; byte $3 was $byte"
}

step "init" osdeploy --json repo init --repo $repo
step "pull" osdeploy --json pull --bootable oci:/images:v1 --repo $repo

# Files of the image. The Merkle tree begins at the next 64 KiB behind the end of the file, the root's page first; what
# follows it, or stands alone where there is one page only, is the descriptor: version, algorithm …, digest from byte 16 on.
# damage_files WHEN: five files, each in another way
damage_files() {
  umount /data
  step "flip data$1" flip "$(object $repo "$DATA")" 1 100
  step "flip tree$1" flip "$(object $repo "$TREE")" $(($(pages_until_tree 300000) + 1)) 5
  step "flip digest$1" flip "$(object $repo "$DIGEST")" "$(pages_until_tree 3000)" 20
  step "flip descriptor$1" flip "$(object $repo "$DESCRIPTOR")" "$(pages_until_tree 3000)" 0
  data_mount
  unsealed=$(object $repo "$SEAL")
  cp "$unsealed" /data/copy
  mv -f /data/copy "$unsealed"
}
damage_files ''

step "mount" osdeploy --json image mount --bootable --repo $repo oci:/images:v1 /mnt
step "read data, first page" dd if=/mnt/usr/lib/victim-data of=/dev/null bs=4096 count=1
for victim in data tree digest descriptor seal; do step "read $victim" sha256sum /mnt/usr/lib/victim-$victim; done
rest() { (cd /mnt && find . -type f ! -name 'victim-*' | xargs sha256sum); }
step "read the rest" rest
umount /mnt
step "cat" osdeploy image cat --repo $repo oci:/images:v1 /usr/lib/victim-data
step "fsck" osdeploy --json repo fsck --repo $repo
step "gc" osdeploy --json repo gc --repo $repo
step "pull squashed" osdeploy --json pull --bootable oci:/images:squashed --repo $repo
step "fsck, mended" osdeploy --json repo fsck --repo $repo
look_inside mended $repo v1

# Root images and streams.
boot_image=$(osdeploy image digest --bootable --repo $repo oci:/images:v1)
raw_image=$(osdeploy image digest --repo $repo oci:/images:v1)
layer=$(readlink "$repo"/streams/oci-layer-"$V1_LAYER" | sed 's#.*objects/##')
umount /data
step "flip superblock" flip "$(object $repo "$boot_image")" 0 1030
step "flip directory" flip "$(object $repo "$raw_image")" 4 50
step "flip layer" flip "$repo/objects/$layer" 0 200
data_mount
step "mount with bad superblock" osdeploy --json image mount --bootable --repo $repo oci:/images:v1 /mnt
step "mount with bad directory" osdeploy --json image mount --repo $repo oci:/images:v1 /mnt
step "read with bad directory" digest_all
umount /mnt
step "fsck of images" osdeploy --json repo fsck --repo $repo
step "gc of images" osdeploy --json repo gc --repo $repo
step "pull parted" osdeploy --json pull --bootable oci:/images:parted --repo $repo
step "fsck after parted" osdeploy --json repo fsck --repo $repo
rm "$repo"/streams/refs/oci/*v1*
step "gc without v1" osdeploy --json repo gc --repo $repo
step "pull v1" osdeploy --json pull --bootable oci:/images:v1 --repo $repo
step "fsck after v1" osdeploy --json repo fsck --repo $repo

damage_files ', again'
step "pull without repair" osdeploy --json pull --bootable oci:/images:v1 --repo $repo
step "repair" osdeploy --json pull --repair --bootable oci:/images:v1 --repo $repo
step "fsck after repair" osdeploy --json repo fsck --repo $repo

umount /data
step "flip meta" flip $repo/meta.json 0 30
data_mount
step "fsck with bad meta" osdeploy --json repo fsck --repo $repo
step "pull with bad meta" osdeploy --json pull --bootable oci:/images:v2 --repo $repo
