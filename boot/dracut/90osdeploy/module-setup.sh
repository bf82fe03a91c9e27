#!/bin/bash
# The root of a composefs deployment, in an initramfs of dracut. dracut calls these functions.
# shellcheck disable=SC2154 # dracut's variables

check() {
    require_binaries fsverity mount umount || return 1
    [[ -x $dracutsysrootdir/usr/lib/osdeploy/boot/setup-root ]]
}

depends() {
    echo base fs-lib rootfs-block systemd-initrd
    # Where dracut has its emergency mode in a module of its own: without it a boot that fails stands still and says nothing.
    module_check systemd-emergency >/dev/null 2>&1
    [[ $? == 1 ]] || echo systemd-emergency
}

installkernel() {
    # those of the boot partition only serve to give an entry up
    hostonly='' instmods erofs overlay loop ext4 btrfs vfat nls_ascii nls_cp437 nls_utf8 efivarfs
}

install() {
    local name
    for name in setup-root boot-entry.sh boot-partition.sh boot-deadline; do
        inst_simple "/usr/lib/osdeploy/boot/$name"
    done
    inst_multiple fsverity mount umount cat mkdir mv sleep sync tr
    inst_multiple -o /usr/lib/composefs/setup-root-conf.toml
    for name in osdeploy-setup-root.service osdeploy-initrd-deadline.service; do
        inst_simple "$moddir/$name" "$systemdsystemunitdir/$name"
    done
    # required: the disk's own root must never be entered in place of the deployment's
    $SYSTEMCTL -q --root "$initdir" add-requires initrd-root-fs.target osdeploy-setup-root.service
    $SYSTEMCTL -q --root "$initdir" add-wants initrd.target osdeploy-initrd-deadline.service
}
