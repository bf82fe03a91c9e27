// The second half of `npm run build`: the program that tsc has checked, once more in few files, below DIR (dist where none is
// given). Loading 325 modules takes Node longer than a small command takes to run, and each import thread loads its own.
// Reasons: docs/decisions/0025-bundled-program.md.
import { rmSync } from "node:fs";
import { join, resolve } from "node:path";

const dir = resolve(process.argv[2] ?? "dist");
process.chdir(import.meta.dirname);

const input = {
  platform: "node",
  // It finds its native part beside itself.
  external: ["koffi"],
};
const output = {
  dir,
  format: "esm",
  // V8 reads all of a file before it runs any of it. Names stay, for stack traces.
  comments: { legal: true, annotation: false, jsdoc: false },
};

/** The program: what most commands share is one file, what few of them need is in files of their own. */
const program = {
  input: { ...input, input: { main: "src/cli/main.ts" } },
  output: {
    ...output,
    entryFileNames: "cli/[name].js",
    chunkFileNames: "bundle/[name].js",
    codeSplitting: {
      groups: [
        // `--version` loads nothing else.
        { name: "version", test: /\/src\/cli\/version\.ts$/, priority: 2 },
        { name: "shared", test: /\/src\/|\/node_modules\/(?!undici)/, minShareCount: 4, priority: 1 },
      ],
    },
  },
};

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
  for (const part of [thread("import-worker"), thread("content-worker"), thread("name-worker"), program]) {
    const build = await rolldown(part.input);
    await build.write(part.output);
    await build.close();
  }
}

/** The oldest Node that the bundler runs on; osdeploy itself runs on older ones. */
const bundlerNeeds = [20, 19];

const [major, minor] = process.versions.node.split(".").map(Number);
if (major > bundlerNeeds[0] || (major === bundlerNeeds[0] && minor >= bundlerNeeds[1])) await bundle();
else
  process.stderr.write(
    `Not bundled: that needs Node ${bundlerNeeds.join(".")}. The program is complete, and starts slower.\n`,
  );
