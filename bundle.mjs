// The second half of `npm run build`: the program that tsc has checked, once more in few files, below DIR (dist where none is
// given). Loading 325 modules takes Node longer than a small command takes to run, and each import thread loads its own.
// Reasons: docs/decisions/0025-bundled-program.md.
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";

const dir = resolve(process.argv[2] ?? "dist");
process.chdir(import.meta.dirname);

/** The entry of undici, of which the program uses two classes: all of it takes a tenth of a second to load. */
const undiciParts = {
  name: "undici-parts",
  resolveId: (id) => (id === "undici" ? "undici-parts" : undefined),
  load: (id) =>
    id === "undici-parts"
      ? `import api from "undici/lib/api/index.js";
        import Agent from "undici/lib/dispatcher/agent.js";
        import Dispatcher from "undici/lib/dispatcher/dispatcher.js";
        import ProxyAgent from "undici/lib/dispatcher/proxy-agent.js";
        // As undici's own entry does.
        Object.assign(Dispatcher.prototype, api);
        export { Agent, ProxyAgent };`
      : undefined,
};

const input = {
  platform: "node",
  plugins: [undiciParts],
  // It finds its native part beside itself.
  external: ["koffi"],
};
const output = {
  dir,
  format: "esm",
  // V8 reads all of a file before it runs any of it. Names stay, for stack traces.
  comments: { legal: true, annotation: false, jsdoc: false },
};

/** Commands by what they work with, each kind with what those before it have. Boots wait for some of the first. */
const kinds = {
  host: ["boot-complete", "finalize-staged", "gc", "images", "rollback", "status", "repo/info"],
  trees: ["composefs/create", "composefs/ls", "image/digest", "image/ls", "image/mount", "repo/fsck"],
};

/** The program: what most commands of a kind share is one file, and what few commands need is in files of their own. */
function program(modulesOf) {
  return {
    input: { ...input, input: { main: "src/cli/main.ts" } },
    output: {
      ...output,
      entryFileNames: "cli/[name].js",
      chunkFileNames: "bundle/[name].js",
      codeSplitting: {
        groups: [
          // `--version` loads nothing else.
          { name: "version", test: /\/src\/cli\/version\.ts$/, priority: 4 },
          { name: "shared", test: (id) => modulesOf.host.has(id), minShareCount: 3, priority: 3 },
          { name: "trees", test: (id) => modulesOf.trees.has(id), minShareCount: 3, priority: 2 },
          { name: "fetch", test: /\/src\/|\/node_modules\/(?!undici)/, minShareCount: 4, priority: 1 },
        ],
      },
    },
  };
}

/** The modules that such commands load, with the command line itself. */
async function modulesOfCommands(rolldown, names) {
  const commands = names.map((name) => `src/cli/commands/${name}.ts`);
  const build = await rolldown({ ...input, input: ["src/cli/process-io.ts", "src/linux/live-linux.ts", ...commands] });
  const { output: chunks } = await build.generate({ format: "esm" });
  await build.close();
  const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
  const reached = new Set();
  const follow = (name) => {
    const chunk = byName.get(name);
    if (chunk === undefined || reached.has(chunk)) return;
    reached.add(chunk);
    chunk.imports.forEach(follow);
  };
  for (const { fileName, isEntry, facadeModuleId, dynamicImports } of chunks) {
    if (isEntry) follow(fileName);
    // A command loads its operation when it runs.
    if (commands.some((name) => facadeModuleId?.endsWith(name))) dynamicImports.forEach(follow);
  }
  return new Set([...reached].flatMap(({ moduleIds }) => moduleIds));
}

/** The program of a thread: one file, beside those that start it. */
function thread(name) {
  return {
    input: { ...input, input: { [name]: `src/operations/${name}.ts` } },
    output: { ...output, entryFileNames: "bundle/[name].js", codeSplitting: false },
  };
}

async function bundle() {
  const { rolldown } = await import("rolldown");
  rmSync(join(dir, "bundle"), { recursive: true, force: true });
  const modulesOf = {};
  for (const [kind, names] of Object.entries(kinds)) modulesOf[kind] = await modulesOfCommands(rolldown, names);
  const threads = [thread("import-worker"), thread("content-worker"), thread("name-worker")];
  for (const part of [...threads, program(modulesOf)]) {
    const build = await rolldown(part.input);
    await build.write(part.output);
    await build.close();
  }
}

/** Whether this Node is one that the bundler runs on: npm leaves out its native part for all others. osdeploy itself runs on them. */
const [major, minor] = process.versions.node.split(".").map(Number);
if (major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19)) await bundle();
else
  process.stderr.write(
    "Not bundled: that needs Node 20.19, 22.12 or newer. The program is complete, and starts slower.\n",
  );
