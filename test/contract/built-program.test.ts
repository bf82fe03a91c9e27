import { execFile, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { buildImage } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { content } from "../builders/os-images.ts";
import { FakeRegistry } from "../fakes/fake-registry.ts";
import { projectDir } from "../tools/find-tool.ts";

const directory = mkdtempSync(join(tmpdir(), "built-program-"));
const dist = join(directory, "dist");
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function run(words: readonly string[]): string {
  return execFileSync(process.execPath, [join(dist, "cli/main.js"), ...words], { encoding: "utf8" });
}

/** The files that a command loads, below the build. */
function loadedBy(words: readonly string[], status = 0): readonly string[] {
  const coverage = mkdtempSync(join(directory, "coverage-"));
  const ended = spawnSync(process.execPath, [join(dist, "cli/main.js"), ...words], {
    env: { ...process.env, NODE_V8_COVERAGE: coverage },
  });
  expect(ended.status).toBe(status);
  const scripts = readdirSync(coverage).flatMap((name): readonly { readonly url: string }[] => {
    return JSON.parse(readFileSync(join(coverage, name), "utf8")).result;
  });
  const paths = scripts.filter(({ url }) => url.startsWith("file:")).map(({ url }) => fileURLToPath(url));
  return paths.map((path) => path.slice(dist.length + 1)).sort();
}

test("bundle.mjs: names every program of a thread that the source starts", () => {
  const sources = readdirSync(join(projectDir, "src"), { recursive: true, encoding: "utf8" });
  const started = sources
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) => [
      ...readFileSync(join(projectDir, "src", name), "utf8").matchAll(/startThread\(new URL\("\.\/(.*?)\.js"/g),
    ])
    .map((match) => match[1]);
  const bundle = readFileSync(join(projectDir, "bundle.mjs"), "utf8");
  const bundled = [...bundle.matchAll(/thread\("(.*?)"\)/g)].map((match) => match[1]);
  expect(started.length).toBeGreaterThan(0);
  expect(bundled.sort()).toEqual(started.sort());
});

describe("the bundled program", () => {
  beforeAll(() => {
    symlinkSync(join(projectDir, "node_modules"), join(directory, "node_modules"));
    execFileSync(process.execPath, [join(projectDir, "bundle.mjs"), dist]);
  });

  test("loads nothing but the version to print it", () => {
    expect(run(["--version"])).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(loadedBy(["--version"])).toEqual(["bundle/version.js", "cli/main.js"]);
  });

  test("loads few files for a command", () => {
    expect(loadedBy(["composefs", "create", "--help"]).length).toBeLessThan(20);
  });

  // There is no sysroot: all that they load is loaded when they find out.
  test.each([
    ["boot-complete", 3],
    ["finalize-staged", 3],
    ["gc", 3],
    ["rollback", 3],
    ["status", 3],
  ])("%s, for which a boot or a person waits, loads nothing that fetches or makes root images", (command, status) => {
    const loaded = loadedBy([command, "--sysroot", join(directory, "nowhere")], status);
    expect(loaded).toContain("bundle/shared.js");
    expect(loaded).not.toContain("bundle/fetch.js");
    expect(loaded).not.toContain("bundle/trees.js");
  });

  test("imports layers in its threads, and the repo is whole", async () => {
    const layout = join(directory, "layout");
    const repo = join(directory, "repo");
    const files = Array.from({ length: 20 }, (_, i) => ({
      path: `usr/file-${i}`,
      content: content(`${i} `, 60 + i * 999),
    }));
    mkdirSync(layout);
    writeLayout(layout, [
      {
        image: await buildImage({
          layers: [[{ path: "usr" }, ...files], [{ path: "usr/other", content: content("x", 99) }]],
        }),
      },
    ]);
    run(["repo", "init", "--insecure", "--repo", repo]);
    const pulled = JSON.parse(run(["pull", "--json", "--platform", "linux/amd64", "--repo", repo, `oci:${layout}`]));
    expect(pulled.layers).toHaveLength(2);
    expect(run(["repo", "fsck", "--repo", repo])).toMatch(/all is well/);
  });

  test("takes paths in words that are no UTF-8 as they are", () => {
    const script =
      'cd "$1" && mkdir "$(printf "d\\377")" && touch "$(printf "d\\377/f\\303")" &&\
      "$2" "$3" composefs create "$(printf "d\\377")" "$(printf "i\\376")" && "$2" "$3" composefs ls "$(printf "i\\376")"';
    const place = mkdtempSync(join(directory, "bytes-"));
    const words = ["-c", script, "sh", place, process.execPath, join(dist, "cli/main.js")];
    expect(execFileSync("sh", words, { encoding: "latin1" })).toContain("/f\\xc3");
    expect(readdirSync(place, { encoding: "latin1" }).sort()).toEqual(["d\xff", "i\xfe"]);
  });

  test.each([
    ["SIGTERM", [143, null]],
    ["SIGINT", [130, null]],
    // As it is where nobody caught it: Node crashes when it wants to set back a terminal that is gone.
    ["SIGHUP", [null, "SIGHUP"]],
  ] as const)("waits for a repo that somebody else has, says so, and ends on %s", async (signal, status) => {
    const repo = join(directory, `repo-${signal}`);
    run(["repo", "init", "--insecure", "--repo", repo]);
    const { files } = openLinux();
    const lock = files.open(fromText(repo), "directory");
    files.lock(lock, "exclusive", { wait: false });
    const waiting = spawn(process.execPath, [join(dist, "cli/main.js"), "repo", "gc", "--repo", repo]);
    let told = "";
    waiting.stderr.on("data", (piece: Buffer) => {
      const before = told;
      told += piece;
      if (!before.includes("waiting") && told.includes("waiting")) waiting.kill(signal);
    });
    const ended = await once(waiting, "close");
    files.close(lock);
    expect(ended).toEqual(status);
    expect(told).toContain(`Cannot open repo "${repo}": another operation uses it: waiting for it to end`);
    expect(told).toContain(`Stopped by ${signal}`);
  });

  // Of undici the bundle has parts only: an entry of its own, see bundle.mjs.
  test("pulls from a registry, directly and through a proxy of the environment", async () => {
    const image = await buildImage({ layers: [[{ path: "usr" }, { path: "usr/file", content: content("y", 9999) }]] });
    const registry = await FakeRegistry.start();
    registry.add(image, "v1");
    const port = Number(registry.host.split(":")[1]);
    const tunnels: (string | undefined)[] = [];
    const proxy = createServer().on("connect", (request, client: Socket) => {
      tunnels.push(request.url);
      const server = connect(port, "127.0.0.1", () => client.write("HTTP/1.1 200 OK\r\n\r\n"));
      for (const socket of [client, server]) socket.on("error", () => {});
      client.pipe(server).pipe(client);
    });
    await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
    try {
      const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      const pullFrom = async (host: string) => {
        const repo = join(directory, `repo-of-${host}`);
        run(["repo", "init", "--insecure", "--repo", repo]);
        const name = `${host}:${port}/os:v1`;
        const words = ["pull", "--json", "--tls-verify=false", "--platform", "linux/amd64", "--repo", repo, name];
        const env = { ...process.env, http_proxy: address, https_proxy: address, no_proxy: "" };
        const { stdout } = await promisify(execFile)(process.execPath, [join(dist, "cli/main.js"), ...words], { env });
        return JSON.parse(stdout).rawImage;
      };
      const direct = await pullFrom("localhost");
      expect(tunnels).toEqual([]);
      expect(direct).toMatch(/^[0-9a-f]{128}$/);
      expect(await pullFrom("registry.test")).toBe(direct);
      expect(new Set(tunnels)).toEqual(new Set([`registry.test:${port}`]));
    } finally {
      proxy.close();
      await registry.stop();
    }
  });

  test("stores a directory in its threads as without them", () => {
    const root = join(directory, "root");
    mkdirSync(root);
    for (let i = 0; i < 2100; i++) writeFileSync(join(root, `file-${i}`), `content ${i} `.repeat(9));
    const digestWith = (threads: string): string =>
      run(["composefs", "create", "--print-digest-only", "--threads", threads, root]);
    expect(digestWith("2")).toBe(digestWith("1"));
    expect(digestWith("2")).toMatch(/^[0-9a-f]{64}\n$/);
  });

  test("has its threads' programs beside what starts them", () => {
    const texts = readdirSync(join(dist, "bundle")).map((name) => readFileSync(join(dist, "bundle", name), "utf8"));
    const started = texts.flatMap((text) => [...text.matchAll(/new URL\("\.\/(.*?)", ?import\.meta\.url\)/g)]);
    const names = [...new Set(started.map(([, name = ""]) => name))].sort();
    expect(names).toEqual(["content-worker.js", "import-worker.js", "name-worker.js"]);
    for (const name of names) expect(existsSync(join(dist, "bundle", name)), name).toBe(true);
  });
});
