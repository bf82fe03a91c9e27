import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { readObject, soundObjectPath, tellingDamage } from "../../../src/repo/read-object.ts";
import type { WritableRepo } from "../../../src/repo/repo.ts";
import { objectPath } from "../../../src/repo/repo-paths.ts";
import { streamObject } from "../../../src/repo/stream-object.ts";
import { content, idOf, makeRepo, repoPath, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const bytes = content(10_000);
const id = idOf(bytes);

/** A repo with one object, one byte of which has changed on the disk. */
function damagedRepo({ secure }: { readonly secure: boolean }, use: (repo: WritableRepo) => void): void {
  const linux = new FakeLinux();
  makeRepo(linux, { secure });
  withRepo(linux, "write", (repo) => {
    stageAndPublish(repo, (staging) => {
      staging.add(bytes);
      return {};
    });
    linux.damage(objectPath(repoPath, id), 5000);
    use(repo);
  });
}

const refused = {
  code: "damaged",
  message: `Cannot use object ${id}: it is sealed, and the kernel refuses to read it: its bytes are not those that were sealed, or the disk fails; run fsck`,
  facts: { object: id, measured: id },
};

describe("an object that is sealed, and whose bytes the kernel refuses", () => {
  test.each([
    ["readObject", (repo: WritableRepo) => readObject(repo, id, 100_000)],
    ["soundObjectPath", (repo: WritableRepo) => soundObjectPath(repo, id)],
  ])("%s: is damaged, not an error of the system", (_, read) => {
    damagedRepo({ secure: true }, (repo) => {
      expect(() => read(repo)).toThrow(expect.objectContaining(refused));
    });
  });

  test("streamObject: so it is", async () => {
    const streamed: Promise<void>[] = [];
    const linux = new FakeLinux();
    makeRepo(linux, { secure: true });
    withRepo(linux, "write", (repo) => {
      stageAndPublish(repo, (staging) => {
        staging.add(bytes);
        return {};
      });
      linux.damage(objectPath(repoPath, id), 5000);
      streamed.push(streamObject(repo, id, async () => {}));
    });
    await expect(streamed[0]).rejects.toMatchObject(refused);
  });
});

describe("tellingDamage", () => {
  const failure = (errno: string) => new OsdeployError("system", `Cannot read it (${errno})`, { facts: { errno } });

  test("leaves the error of a disk under an object that nobody sealed", () => {
    damagedRepo({ secure: false }, (repo) => {
      const read = () => {
        throw failure("EIO");
      };
      expect(() => tellingDamage(repo, id, read)).toThrow("Cannot read it (EIO)");
    });
  });

  test("leaves what says nothing of the bytes, an object that is gone, and bugs", () => {
    damagedRepo({ secure: true }, (repo) => {
      const throwing = (error: Error) => () => {
        throw error;
      };
      expect(() => tellingDamage(repo, id, throwing(failure("EMFILE")))).toThrow("Cannot read it (EMFILE)");
      expect(() => tellingDamage(repo, id, throwing(new TypeError("a bug")))).toThrow("a bug");
      repo.files.unlink(fromText(objectPath(repoPath, id)));
      expect(() => tellingDamage(repo, id, throwing(failure("EIO")))).toThrow("Cannot read it (EIO)");
    });
  });
});
