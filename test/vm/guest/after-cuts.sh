# What is left after the power cuts, and whether work goes on.
. /guest/steps.sh

repo=/data/repo
step "fsck before" osdeploy --json repo fsck --repo $repo
step "pull" osdeploy --json pull --bootable oci:/images:big --repo $repo
step "fsck" osdeploy --json repo fsck --repo $repo
step "measure objects" measure_all $repo
look_inside after $repo big
