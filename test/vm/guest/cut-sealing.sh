# The power goes while staged files are being sealed.
far_enough() {
  file=$(staged | head -n 1)
  [ -n "$file" ] && fsverity measure "$file" >/dev/null 2>&1
}
. /guest/cut.sh
