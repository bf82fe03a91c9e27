import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeErofs } from "../../src/core/erofs/writer.ts";
import { parseDump } from "../../src/core/tree/dump-parser.ts";
import { VectorFolder } from "../builders/composefs-vectors.ts";
import { findTool } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const vectors = new VectorFolder("test/vectors/composefs/cases");
const fsckErofs = findTool("fsck.erofs");

/** Right images that fsck.erofs 1.9.4 cannot judge, with the reason. */
const exceptions: Readonly<Record<string, string>> = {
  "deep-long-names-40": "it refuses paths over 4096 bytes",
  "size-saturate": "it reads 2^64 - 1 bytes of holes",
  "sparse-wrap-2e64-1": "it reads 2^64 - 1 bytes of holes",
};

describe.skipIf(fsckErofs === undefined)("fsck.erofs finds nothing wrong", () => {
  let scratch: string;
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "osdeploy-fsck-"));
  });
  afterAll(() => rmSync(scratch, { recursive: true }));

  for (const [name, { file }] of vectors.images()) {
    if (exceptions[name] !== undefined) continue;
    for (const version of [0, 1] as const) {
      test(`fsck.erofs: ${name}, version ${version}`, () => {
        const image = join(scratch, `${name}-${version}`);
        writeFileSync(image, writeErofs(parseDump(vectors.dump(file)), { version }));
        expect(run(String(fsckErofs), [image])).toMatchObject({ status: 0 });
      });
    }
  }
});
