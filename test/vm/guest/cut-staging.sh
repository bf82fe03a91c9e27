# The power goes while files are being staged.
far_enough() { [ "$(staged | wc -l)" -gt 250 ]; }
. /guest/cut.sh
