import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { BlobHasher } from "../../src/core/digest/blob-hasher.ts";
import { splitDigest } from "../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { ResolvedImage } from "../../src/image-source/image-source.ts";
import { openImageSource } from "../../src/image-source/open-image-source.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { readLayoutArchive } from "../builders/oci-cases.ts";

interface Case {
  readonly description: string;
  readonly expect: "same" | "accept" | "refuse" | "either";
  readonly ref?: string;
  readonly slow?: boolean;
  readonly manifest_digest?: string;
  readonly config_digest?: string;
  readonly diff_ids?: readonly string[];
}

const vectors = new URL("../vectors/oci/", import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL("expected.json", vectors), "utf8")) as {
  cases: Record<string, Case>;
};
const present = new Set(readdirSync(new URL("cases", vectors)).map((name) => name.replace(/\.tar\.zst$/, "")));
const directory = mkdtempSync(join(tmpdir(), "documents-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** What is to be refused here lies inside of blobs whose digests are right: the import sees it, not the documents. */
const wrongInContent = /^(?!a23)[a-g]|^h11|^i(0[5-9]|10|11|12|45|49|52)/;

/** How osdeploy decides where the vectors leave it open; the other open ones are about content. */
const decisions: Readonly<Record<string, "accept" | "refuse">> = {
  // An index in an index in an index is legal, and the depth is limited.
  "h22-nested-twice": "accept",
  // To take the first would deploy whatever was copied into the layout first.
  "h28-several-no-tag": "refuse",
  "h35-sha512-blobs": "accept",
  "h36-sha512-diffid": "accept",
  // An operating system that says it is for other machines will not boot here, whatever the index says.
  "h39-config-arch-differs": "refuse",
};

/** Unpacks a case, resolves its image, and compares all blobs with their digests. */
async function resolveCase(name: string, { ref }: Case): Promise<ResolvedImage> {
  const layout = join(directory, name);
  for (const [path, bytes] of await readLayoutArchive(new URL(`cases/${name}.tar.zst`, vectors))) {
    mkdirSync(join(layout, dirname(path)), { recursive: true });
    writeFileSync(join(layout, path), bytes);
  }
  const reference = parseImageReference(`oci:${layout}${ref === undefined ? "" : `:${ref}`}`);
  const source = openImageSource(reference, openLinux(), { environment: { variables: {}, userId: 0 } });
  const image = await source.resolve(parsePlatform("linux/amd64"));
  for (const layer of image.layers) {
    const hasher = new BlobHasher(splitDigest(layer.digest).algorithm);
    for await (const piece of source.openBlob(layer)) hasher.update(piece);
    if (hasher.measured() !== layer.digest) throw new OsdeployError("digest-mismatch", `Cannot use ${layer.digest}`);
  }
  return image;
}

function isRefused(name: string, verdict: Case["expect"]): boolean {
  if (wrongInContent.test(name)) return false;
  return verdict === "refuse" || decisions[name] === "refuse";
}

const all = Object.entries(cases).filter(([name, { slow }]) => present.has(name) && slow !== true);

describe("documents of the vectors", () => {
  test("all open decisions are about cases that are there and open", () => {
    for (const name of Object.keys(decisions)) expect([name, cases[name]?.expect]).toEqual([name, "either"]);
  });

  test.each(all.filter(([name, { expect: verdict }]) => isRefused(name, verdict)))(
    "%s is refused",
    async (name, each) => {
      await expect(resolveCase(name, each)).rejects.toBeInstanceOf(OsdeployError);
    },
  );

  test.each(all.filter(([name, { expect: verdict }]) => !isRefused(name, verdict)))(
    "%s is found",
    async (name, each) => {
      const image = await resolveCase(name, each);
      if (each.manifest_digest !== undefined) expect(image.manifest.digest).toBe(each.manifest_digest);
      if (each.config_digest !== undefined) expect(image.config.digest).toBe(each.config_digest);
      if (each.diff_ids !== undefined) expect(image.layers.map((layer) => layer.diffId)).toEqual(each.diff_ids);
    },
  );
});
