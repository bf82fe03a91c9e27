#!/bin/sh
# syncfs.sh FROM TO: copies a folder and makes it durable, as the yardstick for a pull onto the same disk.
set -eu
cp -a "$1" "$2/copy"
sync -f "$2/copy"
