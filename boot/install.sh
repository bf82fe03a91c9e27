#!/bin/sh
# install.sh DESTDIR: puts osdeploy into the tree of an operating system image: its program with the Node modules that it
# needs, what runs in the initramfs and at boot, and the units. Run it where osdeploy was built (npm ci && npm run build).
#
# The image needs nodejs (20.12 or newer), fsverity, util-linux, and dracut or initramfs-tools; make the initramfs afterwards.
# Units are enabled by their preset, where DESTDIR has no word of its own about them. Nothing outside of DESTDIR is changed.
# Equal builds give equal files, apart from their times.
#
# Environment: OSDEPLOY_DIST (the build; default dist).
set -eu
destination=${1:?usage: install.sh DESTDIR}
destination=$(cd "$destination" && pwd)
dist=$(cd "$(dirname "$0")/.." && realpath "${OSDEPLOY_DIST:-dist}")
cd "$(dirname "$0")/.."
[ -e "$dist/cli/main.js" ] || { echo "error: osdeploy is not built: npm ci && npm run build" >&2 && exit 1; }
umask 022

main() {
  place=$destination/usr/lib/osdeploy
  rm -rf "$place/dist" "$place/node_modules" "${place:?}/boot"
  mkdir -p "$place/boot" "$place/health.d/required" "$place/health.d/wanted" "$destination/usr/bin"
  cp -R "$dist" "$place/dist"
  cp package.json LICENSE "$place/"
  node_modules
  put 755 /usr/bin/osdeploy <<'P'
#!/bin/sh
exec node /usr/lib/osdeploy/dist/cli/main.js "$@"
P
  for file in setup-root boot-deadline health-check boot-entry.sh boot-partition.sh; do copy "boot/$file" "/usr/lib/osdeploy/boot/$file"; done
  for file in boot/dracut/90osdeploy/*; do copy "$file" "/usr/lib/dracut/modules.d/90osdeploy/${file##*/}"; done
  for file in hooks/osdeploy scripts/init-premount/osdeploy scripts/local-bottom/osdeploy; do
    copy "boot/initramfs-tools/$file" "/usr/share/initramfs-tools/$file"
  done
  for file in boot/systemd/*.service boot/systemd/*.timer; do copy "$file" "/usr/lib/systemd/system/${file##*/}"; done
  copy boot/systemd/80-osdeploy.preset /usr/lib/systemd/system-preset/80-osdeploy.preset
  enable_units
  chmod -R u=rwX,go=rX "$place"
}

# put MODE PATH: a file from standard input
put() {
  mkdir -p "$destination${2%/*}"
  cat >"$destination$2"
  chmod "$1" "$destination$2"
}
copy() { if [ -x "$1" ]; then put 755 "$2" <"$1"; else put 644 "$2" <"$1"; fi; }

# node_modules: the packages that osdeploy needs at run time, those that there are for this machine
node_modules() {
  node -e '
    const { packages } = JSON.parse(require("node:fs").readFileSync("package-lock.json", "utf8"));
    for (const [path, { dev }] of Object.entries(packages)) if (path !== "" && dev !== true) console.log(path);
  ' | while read -r path; do
    [ -d "$path" ] || continue
    mkdir -p "$place/${path%/*}"
    cp -R "$path" "$place/${path%/*}/"
  done
}

# enable_units: what the preset says, as `systemctl preset` does it, which not every machine that builds images has
enable_units() {
  while read -r word unit; do
    [ "$word" = enable ] || continue
    while read -r line; do
      case $line in
      WantedBy=*) link "${line#*=}.wants" "$unit" ;;
      RequiredBy=*) link "${line#*=}.requires" "$unit" ;;
      esac
    done <"boot/systemd/$unit"
  done <boot/systemd/80-osdeploy.preset
}
link() {
  mkdir -p "$destination/etc/systemd/system/$1"
  ln -sf "/usr/lib/systemd/system/$2" "$destination/etc/systemd/system/$1/$2"
}

main
