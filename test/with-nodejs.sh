#!/bin/sh
# test/with-nodejs.sh COMMAND...: runs it with a Node that the test runner runs on: this machine's, or the one that test/setup.sh got.
set -eu
cd "$(dirname "$0")/.."
TOOLS=${OSDEPLOY_TOOLS:-.cache/tools}
. test/tools/nodejs.sh
use_node_of_tests
exec "$@"
