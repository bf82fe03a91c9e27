import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import type { VerityAlgorithm } from "../../src/core/digest/object-id.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { type ExplainImageResult, explainImage } from "../../src/operations/explain-image.ts";
import { initRepo } from "../../src/operations/init-repo.ts";
import { pull } from "../../src/operations/pull.ts";
import { sha256 } from "../builders/oci-layer.ts";
import { failureOf, noLogin, systemOn } from "../builders/operation-machine.ts";

interface Ids {
  readonly sha256: string;
  readonly sha512: string;
}

const vectors = new URL("../vectors/oci/", import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL("expected.json", vectors), "utf8")) as {
  readonly cases: Readonly<
    Record<string, { readonly reference?: { readonly raw?: Ids; readonly boot?: Ids; readonly unstable?: true } }>
  >;
};
/** A few of each group: what all give is compared elsewhere. */
const names = ["a01-single", "a03-three-layers", "a06-whiteout-missing", "a07-whiteout-same-layer"];
const directory = mkdtempSync(join(tmpdir(), "sealed-images-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const keyOf = (tree: "raw" | "boot", algorithm: VerityAlgorithm) =>
  `composefs.merged.${tree === "raw" ? "" : "bootable."}erofs.v1.fsverity-${algorithm}-12`;

/** Unpacks a case, and puts annotations into its only manifest. */
function sealed(name: string, annotations: Readonly<Record<string, string>>): string {
  const layout = mkdtempSync(join(directory, name));
  const archive = new URL(`cases/${name}.tar.zst`, vectors).pathname;
  execFileSync("tar", ["--zstd", "-xf", archive, "-C", layout, "--no-same-owner"]);
  const index = JSON.parse(readFileSync(join(layout, "index.json"), "utf8"));
  const [entry] = index.manifests;
  const blob = (digest: string) => join(layout, "blobs", digest.replace(":", "/"));
  const manifest = JSON.parse(readFileSync(blob(entry.digest), "utf8"));
  const bytes = Buffer.from(JSON.stringify({ ...manifest, annotations }));
  writeFileSync(blob(sha256(bytes)), bytes);
  const manifests = [{ ...entry, digest: sha256(bytes), size: bytes.length }];
  writeFileSync(join(layout, "index.json"), JSON.stringify({ ...index, manifests }));
  return layout;
}

async function newRepo(algorithm: VerityAlgorithm) {
  const parent = mkdtempSync(join(directory, "repo-"));
  const repo = fromText(join(parent, "repo"));
  await initRepo(systemOn(openLinux()), { repo, algorithm, insecure: true });
  return repo;
}

const wanted = (layout: string) => ({
  image: parseImageReference(`oci:${layout}`),
  platform: parsePlatform("linux/amd64"),
  source: noLogin,
});

async function explain(layout: string, algorithm: VerityAlgorithm, expected?: string): Promise<ExplainImageResult> {
  return explainImage(systemOn(openLinux()), {
    repo: await newRepo(algorithm),
    image: `oci:${layout}`,
    offered: wanted(layout),
    anew: true,
    expected: expected === undefined ? undefined : fromText(expected),
  });
}

describe("images with the digests of composefs-rs in their annotations", () => {
  test.each(names.flatMap((name) => [[name, "sha256"] as const, [name, "sha512"] as const]))(
    "%s with %s: holds, and with another digest nothing is left",
    async (name, algorithm) => {
      const { raw, boot } = cases[name]?.reference ?? {};
      const [rawId, bootId] = [String(raw?.[algorithm]), String(boot?.[algorithm])];
      const promises = { [keyOf("raw", algorithm)]: rawId, [keyOf("boot", algorithm)]: bootId };
      const repo = await newRepo(algorithm);
      const pullIt = (annotations: Readonly<Record<string, string>>) =>
        pull(systemOn(openLinux()), { ...wanted(sealed(name, annotations)), repo, bootable: true });
      const swapped = { ...promises, [keyOf("boot", algorithm)]: rawId };
      expect(await failureOf(pullIt(swapped))).toMatchObject({
        code: "digest-mismatch",
        facts: { promised: rawId, found: bootId },
      });
      expect((await pullIt(promises)).sealedBy).toEqual(Object.keys(promises).map((key) => `annotation ${key}`));
    },
  );

  test.each(names)("%s: explained by a promise for the other tree, and of the other algorithm", async (name) => {
    const { raw, boot } = cases[name]?.reference ?? {};
    const layout = sealed(name, {
      [keyOf("raw", "sha256")]: String(raw?.sha256),
      [keyOf("boot", "sha256")]: String(boot?.sha256),
      [keyOf("boot", "sha512")]: String(raw?.sha512),
    });
    const { promises } = await explain(layout, "sha512");
    expect(promises.map(({ verdict }) => verdict)).toEqual(["holds", "holds", "broken"]);
    const match = promises[2]?.tried.find(({ matches }) => matches);
    expect(match).toMatchObject({ tree: "raw", formatVersion: 1, algorithm: "sha512" });
  });

  test.each(names.flatMap((name) => [`${name}.raw`, `${name}.boot`]))(
    "%s: its dump differs in nothing, and with a changed line in that",
    async (dump) => {
      const text = gunzipSync(readFileSync(new URL(`dumps/${dump}.dump.gz`, vectors))).toString("latin1");
      const file = join(directory, `${dump}.dump`);
      writeFileSync(file, text, "latin1");
      const layout = sealed(dump.replace(/\..*/, ""), {});
      expect((await explain(layout, "sha256", file)).expected).toMatchObject({ differences: 0, first: null });
      // The same tree, though the digests are of another algorithm than the repo's.
      expect((await explain(layout, "sha512", file)).expected).toMatchObject({ differences: 0, first: null });
      const at = text.lastIndexOf("\n/", text.length - 2) + 1;
      const changed = text.slice(at).replace(/^(\S+ \S+ \S+ \S+) \S+/, "$1 4711");
      writeFileSync(file, text.slice(0, at) + changed, "latin1");
      const { expected } = await explain(layout, "sha256", file);
      expect(expected).toMatchObject({ differences: 1, first: { changes: ["owner"] } });
      expect(expected?.first?.expected).toContain(" 4711 ");
    },
  );
});
