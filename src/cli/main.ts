#!/usr/bin/env node
import { version } from "./version.ts";

// Answered before anything else is loaded: scripts ask for it often, and it must work where nothing else does.
const [first] = process.argv.slice(2);
if (first === "--version" || first === "-V") {
  process.stdout.on("error", (error) => import("./process-io.ts").then((io) => io.endWithoutOutput(error)));
  process.stdout.write(`${version}\n`);
} else await import("./process-io.ts").then(({ runInProcess }) => runInProcess());
