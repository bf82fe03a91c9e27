import { expect, test } from "vitest";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { type ObjectId, parseObjectId } from "../../../src/core/digest/object-id.ts";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { type EtcStep, mergeEtc } from "../../../src/core/tree/merge-etc.ts";
import type { ContentSource } from "../../../src/linux/file-content.ts";
import { type NewState, writeStateDirectory } from "../../../src/sysroot/state-directory.ts";
import { sysrootPaths } from "../../../src/sysroot/sysroot-paths.ts";
import { directory, file } from "../../builders/file-trees.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { FakeLinux, SimulatedCrash } from "../../fakes/fake-linux.ts";

const paths = sysrootPaths(fromText("/target"));
const [first, second] = ["ab", "cd"].map((pair) => parseObjectId(pair.repeat(64), "sha512")) as [ObjectId, ObjectId];

function stepsOf(root: ReturnType<typeof directory>): readonly EtcStep[] {
  return mergeEtc({ pristine: { root }, host: { root }, image: { root } }).steps;
}

function contentOf({ inode }: EtcStep): ContentSource {
  if (inode.kind !== "regular" || inode.content.kind !== "inline") throw new Error("These files are inline");
  return { kind: "bytes", bytes: toBytes(inode.content.bytes) };
}

function stateOf(rootImage: ObjectId, addedToVar: readonly EtcStep[]): NewState {
  const origin = {
    imageReference: "docker://registry.example/os:1",
    manifestDigest: parseManifestDigest(`sha256:${"12".repeat(32)}`),
    bootDigest: "34".repeat(32),
    verifiedBy: [],
    sealedBy: [],
  };
  const etc = stepsOf(directory({ hosts: file("127.0.0.1\n"), conf: directory({ shadow: file("secret") }) }));
  return { rootImage, origin, etc, var: stepsOf(directory({ lib: file("x") })), addedToVar, contentOf };
}

/** What lies below a path; undefined where nothing has that name. */
const below = ({ files }: FakeLinux, path: string) =>
  files.lstatIfExists(fromText(path)) === undefined ? undefined : describeFiles(files, fromText(path));

const base = new FakeLinux();
base.files.makeDirectory(fromText("/target"), 0o755);
writeStateDirectory(base.files, paths, stateOf(first, []), fromText("1"));

const added = stepsOf(directory({ "authorized-keys": file("the administrator's") })).slice(1);
const write = ({ files }: FakeLinux) => writeStateDirectory(files, paths, stateOf(second, added), fromText("2"));
const places = [`/target/state/deploy/${second}`, "/target/state/os/default/var"];

test("writeStateDirectory: a crash at any moment leaves names of what is whole, and of nothing else", () => {
  const whole = base.crash({ keepUnsynced: true });
  const before = places.map((path) => below(whole, path));
  write(whole);
  const after = places.map((path) => below(whole, path));
  expect(after[1]).toHaveLength(2);
  for (let failAt = 1; failAt <= whole.trace.length; failAt++) {
    for (const names of ["lost", "kept"] as const) {
      const crashing = base.crash({ keepUnsynced: true }, { failAt });
      expect(() => write(crashing)).toThrow(SimulatedCrash);
      const left = crashing.crash({ keepUnsynced: false, names });
      places.forEach((path, index) => {
        const found = below(left, path)?.filter((line) => !line.includes(".osdeploy-new "));
        expect([before[index], after[index]]).toContainEqual(found);
      });
    }
  }
  const durable = whole.crash({ keepUnsynced: false, names: "lost" });
  expect(places.map((path) => below(durable, path))).toEqual(after);
});
