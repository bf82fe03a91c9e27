#!/bin/sh
# broken.sh TAG TOP: makes the tree of one layer in TOP that breaks a release in the way that TAG says. For tests of the way back.
# Nothing in it writes to a console that somebody may be logged in on.
set -eu
tag=$1 top=$2
units=$top/usr/lib/systemd/system
mkdir -p "$units/multi-user.target.wants"

case $tag in
panic) # the kernel panics while the system comes up
  cat >"$units/panic.service" <<'U'
[Unit]
Description=Panic
Before=multi-user.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'sleep 3; echo c >/proc/sysrq-trigger'
U
  ;;
hang) # a unit that the system waits for never ends
  cat >"$units/hang.service" <<'U'
[Unit]
Description=Hang
Before=multi-user.target

[Service]
Type=oneshot
ExecStart=/usr/bin/sleep infinity
TimeoutStartSec=infinity
U
  ;;
sick) # it comes up, and something that must work does not
  mkdir -p "$top/usr/lib/osdeploy/health.d/required"
  cat >"$top/usr/lib/osdeploy/health.d/required/sick" <<'C'
#!/bin/sh
echo "what must work does not" >&2
exit 1
C
  chmod 755 "$top/usr/lib/osdeploy/health.d/required/sick"
  rm -r "$top/usr/lib/systemd"
  exit 0
  ;;
esac
ln -s "../$tag.service" "$units/multi-user.target.wants/$tag.service"
