#!/bin/sh
# unpack.sh LAYOUT TAG DIR: the bound. Decompresses the layers of an OCI image one after the other into `tar x`.
# Whiteouts are left as the files they are; no digest is checked.
set -eu
layout=$1 tag=$2 dir=$3
mkdir -p "$dir/root"
manifest=$(node -e '
  const { readFileSync } = require("node:fs");
  const [layout, tag] = process.argv.slice(1);
  const read = (digest) => JSON.parse(readFileSync(`${layout}/blobs/${digest.replace(":", "/")}`));
  const index = JSON.parse(readFileSync(`${layout}/index.json`));
  const found = index.manifests.find((m) => m.annotations?.["org.opencontainers.image.ref.name"] === tag);
  for (const layer of read(found.digest).layers) console.log(layer.digest.replace(":", "/"));
' "$layout" "$tag")
for blob in $manifest; do
  case $(head -c 4 "$layout/blobs/$blob" | od -An -tx1 | tr -d ' \n') in
    28b52ffd) zstd -dcq "$layout/blobs/$blob" ;;
    1f8b*) gzip -dc "$layout/blobs/$blob" ;;
    *) cat "$layout/blobs/$blob" ;;
  esac | tar -x --xattrs --xattrs-include='*' --numeric-owner -C "$dir/root" -f -
done
