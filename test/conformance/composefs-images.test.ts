import { describe, expect, test } from "vitest";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import { writeErofs } from "../../src/core/erofs/writer.ts";
import { parseDump } from "../../src/core/tree/dump-parser.ts";
import { sha256, VectorFolder } from "../builders/composefs-vectors.ts";

const folders = [
  { name: "own vectors", folder: new VectorFolder("test/vectors/composefs/cases") },
  { name: "vectors from the composefs source tree", folder: new VectorFolder("../shared/vectors/composefs-upstream") },
];

function facts(image: Uint8Array) {
  return { size: image.length, sha256: sha256(image), verity: verityDigest("sha256", image) };
}

for (const { name, folder } of folders) {
  describe.skipIf(!folder.present)(`mkcomposefs 1.0.8: ${name}${folder.present ? "" : " (not there)"}`, () => {
    test.each(folder.images())(
      "writeErofs: the same bytes for %s in version 0, in 1, and when it may choose",
      (_, vector) => {
        const tree = parseDump(folder.dump(vector.file));
        expect({
          v0: facts(writeErofs(tree, { version: 0 })),
          v1: facts(writeErofs(tree, { version: 1 })),
          chosen: facts(writeErofs(tree, { version: { min: 0, max: 1 } })),
        }).toEqual({
          v0: { size: vector.size_v0, sha256: vector.sha256_v0, verity: vector.verity_v0 },
          v1: { size: vector.size_v1, sha256: vector.sha256_v1, verity: vector.verity_v1 },
          chosen: { size: vector.size, sha256: vector.sha256_default, verity: vector.verity_default },
        });
      },
    );

    test.each(folder.errors())("parseDump and writeErofs: mkcomposefs's own words for %s", (_, vector) => {
      const error = vector.exit === null ? "cannot write file: Too many levels of symbolic links" : vector.error;
      expect(() => writeErofs(parseDump(folder.dump(vector.file)), { version: { min: 0, max: 1 } })).toThrow(
        expect.objectContaining({ code: "bad-format", message: error }),
      );
    });

    test.each(folder.images())("parseDump: strict mode refuses what mkcomposefs refuses in %s", (_, vector) => {
      const parse = () => parseDump(folder.dump(vector.file), { strict: true });
      if (vector.strict_error === undefined) expect(parse().root.kind).toBe("directory");
      else expect(parse).toThrow(expect.objectContaining({ message: vector.strict_error }));
    });
  });
}
