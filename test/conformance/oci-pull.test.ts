import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import type { VerityAlgorithm } from "../../src/core/digest/object-id.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { checkRepo } from "../../src/operations/check-repo.ts";
import { initRepo } from "../../src/operations/init-repo.ts";
import { pull } from "../../src/operations/pull.ts";
import type { PulledImage } from "../../src/operations/pull-image.ts";
import type { System } from "../../src/operations/system.ts";

interface Ids {
  readonly sha256: string;
  readonly sha512: string;
}

interface Outcome {
  readonly raw?: Ids;
  readonly boot?: Ids | { readonly error: string };
}

interface Case {
  readonly description: string;
  readonly expect: "same" | "accept" | "refuse" | "either";
  readonly ref?: string;
  readonly reference?: Outcome;
  readonly if_accepted?: Outcome;
}

/** How osdeploy decides the cases that the vectors leave open, and why. Those not named here are accepted. */
const refused: Readonly<Record<string, string>> = {
  "b11-link-with-size": "a hard link with content of its own: which of both the file has is a guess",
  "b15-link-through-symlink": "no path goes through a symlink, so that what is written is what the tar names",
  "e09-run-not-dir": "the system mounts over /run, and a symlink there leads elsewhere",
  "h28-several-no-tag": "the first of several images is nobody's choice",
  "h39-config-arch-differs": "an operating system that says it is for other machines does not boot here",
};

const vectors = new URL("../vectors/oci/", import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL("expected.json", vectors), "utf8")) as {
  cases: Record<string, Case>;
};
const present = Object.entries(cases).filter(([name]) => existsSync(new URL(`cases/${name}.tar.zst`, vectors)));
const directory = mkdtempSync(join(tmpdir(), "oci-pull-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const system: System = {
  linux: openLinux(),
  progress: () => {},
  signal: new AbortController().signal,
  importThreads: 0,
};

/** Unpacks a case as it is: a blob can be a symlink or a directory in some. */
function unpackCase(name: string): string {
  const layout = join(directory, name);
  if (!existsSync(layout)) {
    mkdirSync(layout);
    execFileSync("tar", [
      "--zstd",
      "-xf",
      new URL(`cases/${name}.tar.zst`, vectors).pathname,
      "-C",
      layout,
      "--no-same-owner",
    ]);
  }
  return layout;
}

async function pullCase(
  name: string,
  { ref }: Case,
  options: { repo: string; bootable: boolean },
): Promise<PulledImage> {
  const image = parseImageReference(`oci:${unpackCase(name)}${ref === undefined ? "" : `:${ref}`}`);
  const source = { environment: { variables: {}, userId: 0 } };
  return await pull(system, {
    image,
    platform: parsePlatform("linux/amd64"),
    source,
    ...options,
    repo: fromText(options.repo),
  });
}

async function newRepo(name: string, algorithm: VerityAlgorithm): Promise<string> {
  const repo = join(directory, `${name}-${algorithm}`);
  rmSync(repo, { recursive: true, force: true });
  await initRepo(system, { repo: fromText(repo), algorithm, insecure: true });
  return repo;
}

/** Tags, streams and root images: what others can see of a repo. */
function visibleNames(repo: string): readonly string[] {
  return ["streams", "images"].flatMap((folder) =>
    readdirSync(join(repo, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => entry.name),
  );
}

function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function expectRefused(name: string, vector: Case, repo: string): Promise<void> {
  expect(await failureOf(pullCase(name, vector, { repo, bootable: true }))).toBeInstanceOf(OsdeployError);
  expect(visibleNames(repo)).toEqual([]);
}

async function expectIds(name: string, vector: Case, algorithm: VerityAlgorithm): Promise<void> {
  const { raw, boot } = vector.if_accepted ?? vector.reference ?? {};
  const repo = await newRepo(name, algorithm);
  if (boot !== undefined && "error" in boot) {
    const error = await failureOf(pullCase(name, vector, { repo, bootable: true }));
    expect(error).toMatchObject({ code: "not-bootable" });
  } else {
    const pulled = await pullCase(name, vector, { repo, bootable: true });
    if (boot !== undefined) expect(pulled.bootImage).toBe(boot[algorithm]);
  }
  const pulled = await pullCase(name, vector, { repo, bootable: false });
  if (raw !== undefined) expect(pulled.rawImage).toBe(raw[algorithm]);
  const { problems } = await checkRepo(system, { repo: fromText(repo), metadataOnly: false });
  expect(problems).toEqual([]);
  rmSync(repo, { recursive: true });
}

describe.each(["sha256", "sha512"] as const)("a repo with %s", (algorithm) => {
  test.each(present)("pulls %s as the vectors say", async (name, vector) => {
    if (vector.expect === "refuse" || refused[name] !== undefined) {
      await expectRefused(name, vector, await newRepo(name, algorithm));
    } else {
      await expectIds(name, vector, algorithm);
    }
  });
});
