import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { checkDigestFile, writeDigestFile } from "../../../src/operations/send-image.ts";
import { machineWithFiles } from "../../builders/configuration.ts";

const digest = parseManifestDigest(`sha256:${"a".repeat(64)}`);
const path = fromText("/d/digest");

test.each([
  ["nothing", {}],
  ["an older digest", { "/d/digest": "old" }],
  ["what a run left that was killed", { "/d/digest.new": "half" }],
])(
  "checkDigestFile, writeDigestFile: where there is %s, the one leaves it as it is, and the other the digest alone",
  (_, there) => {
    const { files } = machineWithFiles({ "/d/other": "", ...there });
    checkDigestFile(files, path);
    expect(files.lstatIfExists(path) !== undefined).toBe("/d/digest" in there);
    expect(files.readDirectory(fromText("/d"))).not.toContain("digest.new");
    files.writeNewFile(fromText("/d/digest.new"), new Uint8Array(100), 0o600);
    writeDigestFile(files, path, digest);
    expect(Buffer.from(files.readFile(path, 1000)).toString()).toBe(digest);
    expect(files.readDirectory(fromText("/d"))).toEqual(["digest", "other"]);
  },
);
