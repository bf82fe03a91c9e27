# A Node that the test runner and the bundler run on: they need a newer one than osdeploy does. Sourced, not run; POSIX sh.
# TOOLS is where test/setup.sh puts programs; NEWEST_NODE what it gets where this machine's Node is too old.

# node_runs_tests: whether this machine's Node is such a one. npm leaves the native parts of rolldown out for all others.
node_runs_tests() {
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)'
}

# use_node_of_tests: puts it first in PATH
use_node_of_tests() {
  if node_runs_tests; then return; fi
  if [ ! -x "$TOOLS/node-newest/bin/node" ]; then
    printf 'error: The test runner needs Node 20.19, 22.12 or newer. This is %s, and there is no other below %s.\n' "$(node --version)" "$TOOLS" >&2
    exit 1
  fi
  if ! _says=$("$TOOLS/node-newest/bin/node" --version 2>&1); then
    printf 'error: The test runner needs Node 20.19, 22.12 or newer. This is %s, and the one below %s does not start: %s\n' "$(node --version)" "$TOOLS" "$_says" >&2
    exit 1
  fi
  PATH=$(cd "$TOOLS/node-newest/bin" && pwd):$PATH
  export PATH
}
