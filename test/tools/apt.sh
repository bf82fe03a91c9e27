# Debian packages for the scripts of this project. Sourced, not run; POSIX sh.
#
# Everything comes from the archive that this machine's own apt is set up for, so no host name is written here.
# OSDEPLOY_MIRROR=URL names another one.

say() { printf '%s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

is_debian() { [ -r /etc/debian_version ] && command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }
is_root() { [ "$(id -u)" = 0 ]; }

# missing PKG...: those of the packages that are not installed, in one line
missing() {
  for _p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$_p" 2>/dev/null)" = installed ] || printf '%s ' "$_p"
  done
}

# need PKG...: installs what is missing. Fresh containers have no package lists, old machines have stale ones.
need() {
  _miss=$(missing "$@")
  [ -n "$_miss" ] || return 0
  say "installing Debian packages: $_miss"
  have_lists || apt-get update -qq >&2
  # shellcheck disable=SC2086 # a list of words on purpose
  apt_install $_miss || { apt-get update -qq >&2 && apt_install $_miss; } || die "apt cannot install $_miss"
}
# accelerators: libraries that hash eight blocks at once, four times as fast, and read gzip in two thirds of the time.
# osdeploy works without them, so that they cannot be had is no error: only amd64 has both.
accelerators() {
  [ "$(dpkg --print-architecture)" = amd64 ] || return 0
  # Debian changes the name of the first with each version.
  one_of libipsec-mb2 libipsec-mb1
  one_of libisal2
}
# one_of PKG...: installs the first of them that there is, if none is installed
one_of() {
  for _p in "$@"; do [ -n "$(missing "$_p")" ] || return 0; done
  have_lists || apt-get update -qq >&2
  for _p in "$@"; do
    if apt-cache show "$_p" >/dev/null 2>&1; then
      say "installing Debian packages: $_p"
      apt_install "$_p" || { apt-get update -qq >&2 && apt_install "$_p"; } || say "apt cannot install $_p: pulls are slower"
      return 0
    fi
  done
}
apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
}
have_lists() { ls /var/lib/apt/lists/*Packages* >/dev/null 2>&1; }

# archive: the URL of the Debian archive
archive() {
  if [ -n "${OSDEPLOY_MIRROR:-}" ]; then
    printf '%s\n' "$OSDEPLOY_MIRROR"
    return
  fi
  have_lists || apt-get update -qq >&2
  _site=$(apt-get indextargets --format '$(LABEL)|$(SITE)' 'Created-By: Packages' | sed -n 's/^Debian|//p' | head -n 1)
  case $_site in
  # cloud images name a file that lists mirrors
  mirror+file:*) _file=${_site#mirror+file:} && _site=$(grep -v '^#' "/${_file#"${_file%%[!/]*}"}" | head -n 1 | cut -f 1) ;;
  esac
  [ -n "$_site" ] || die "this machine's apt names no Debian archive (set OSDEPLOY_MIRROR)"
  printf '%s\n' "$_site"
}

# keyring SUITE: the file with the archive's keys. Early Debian 12 machines do not know the keys of Debian 13 yet.
keyring() {
  _keys=/usr/share/keyrings/debian-archive-keyring.gpg
  if [ ! -e /usr/share/keyrings/debian-archive-trixie-stable.gpg ] && [ ! -e /usr/share/keyrings/debian-archive-trixie-stable.pgp ]; then
    apt-get update -qq >&2
    apt_install debian-archive-keyring || die "apt cannot update debian-archive-keyring"
  fi
  printf '%s\n' "$_keys"
}

# unpack_suite SUITE DIR PKG...: unpacks packages of another suite, with all they depend on, below DIR; installs nothing.
# Signatures are checked. Valid-Until is not: an archive may be a frozen mirror.
unpack_suite() {
  _suite=$1 _dir=$2
  shift 2
  _apt=$(mktemp -d)
  mkdir -p "$_apt/lists/partial" "$_apt/archives/partial" "$_apt/parts"
  : >"$_apt/status"
  _url=$(archive) _keys=$(keyring)
  printf 'deb [signed-by=%s] %s %s main\n' "$_keys" "$_url" "$_suite" >"$_apt/sources.list"
  for _c in "update" "install --download-only --no-install-recommends $*"; do
    # shellcheck disable=SC2086 # a list of words on purpose
    apt-get -qq -y \
      -o Dir::Etc::sourcelist="$_apt/sources.list" -o Dir::Etc::sourceparts="$_apt/parts" \
      -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$_apt/parts" \
      -o Dir::State::lists="$_apt/lists" -o Dir::State::status="$_apt/status" -o Dir::State::extended_states="$_apt/ext" \
      -o Dir::Cache::archives="$_apt/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
      -o APT::Sandbox::User=root -o APT::Keep-Downloaded-Packages=true -o Binary::apt-get::APT::Keep-Downloaded-Packages=true \
      -o DPkg::Post-Invoke= -o APT::Update::Post-Invoke= -o APT::Update::Post-Invoke-Success= \
      -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
      $_c </dev/null >/dev/null 2>"$_apt/log" || {
      say "$(head -n 5 "$_apt/log")"
      rm -rf "$_apt"
      return 1
    }
  done
  unpack_debs "$_dir" "$_apt/archives"
  rm -rf "$_apt"
}

# unpack_own DIR PKG...: the same for single packages of this machine's own suite, without what they depend on
unpack_own() {
  _dir=$1
  shift
  _apt=$(mktemp -d)
  have_lists || apt-get update -qq >&2
  (cd "$_apt" && { apt-get -qq -o APT::Sandbox::User=root download "$@" ||
    { apt-get update -qq && apt-get -qq -o APT::Sandbox::User=root download "$@"; }; }) >&2 || return 1
  unpack_debs "$_dir" "$_apt"
  rm -rf "$_apt"
}

# unpack_debs DIR FROM: complete or not at all
unpack_debs() {
  rm -rf "$1.part"
  mkdir -p "$1.part"
  for _deb in "$2"/*.deb; do dpkg -x "$_deb" "$1.part" || return 1; done
  rm -rf "$1"
  mv "$1.part" "$1"
}
