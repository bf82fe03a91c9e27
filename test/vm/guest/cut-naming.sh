# The power goes while objects get their names, some of them durable.
far_enough() { [ "$(named | wc -l)" -gt 0 ] && sync; }
. /guest/cut.sh
