import { beforeEach, describe, expect, test } from "vitest";
import { type ByteString, fromBytes, fromText } from "../../../src/core/bytes/byte-string.ts";
import type { ObjectId } from "../../../src/core/digest/object-id.ts";
import type { DiskStep } from "../../../src/core/disk/disk-step.ts";
import type { FileTree } from "../../../src/core/tree/inode.ts";
import { ScratchFiles } from "../../../src/disk/scratch-files.ts";
import type { InstallImage } from "../../../src/operations/install-image.ts";
import { type RootRequest, rootSteps } from "../../../src/operations/install-root.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { directory, file, special, symlink, tree } from "../../builders/file-trees.ts";
import { buildInstallImage } from "../../builders/install-images.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { machineWithRepo, pullTag, repoOfSysroot } from "../../builders/operation-machine.ts";
import { putFile } from "../../builders/tool-runs.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const os = await buildInstallImage();
const rootImage = "ab".repeat(64) as ObjectId;
const labelOf = (label: string) => new Map([[fromText("security.selinux"), fromText(label)]]);
const labelled = tree({
  usr: directory({}, {}, labelOf("usr_t")),
  etc: directory({
    hostname: file("host\n", { permissions: 0o640, uid: 3, gid: 4, mtimeSeconds: 99n }, labelOf("etc_t")),
    link: symlink("../usr"),
    null: special("character-device", 0x103),
    pipe: special("fifo"),
    socket: special("socket"),
  }),
  var: directory({ lib: directory({ state: file("state") }, { permissions: 0o700 }) }),
});

let linux: FakeLinux;
beforeEach(async () => {
  linux = await machineWithRepo({ os }, { verity: false });
  await pullTag(linux, "os");
  putFile(linux.files, "/target/composefs/staging/left", "x");
});

function stepsOf(changes: Partial<RootRequest> = {}, of: FileTree = labelled): readonly DiskStep[] {
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  const scratch = `/scratch-${linux.trace.length}` as ByteString;
  linux.files.makeDirectory(scratch, 0o700);
  try {
    const image = { repo, rootImage, tree: of } as unknown as InstallImage;
    return rootSteps(linux.files, image, {
      origin: {
        imageReference: "docker://quay.io/os:1",
        manifestDigest: `sha256:${"cd".repeat(32)}` as InstallImage["manifestDigest"],
        bootDigest: "ef".repeat(32),
        verifiedBy: [],
        sealedBy: [],
      },
      time: 1_600_000_000,
      scratch: new ScratchFiles(linux.files, scratch),
      additions: [],
      withTails: false,
      ...changes,
    });
  } finally {
    repo.close();
  }
}

const contentOf = (path: ByteString) => fromBytes(linux.files.readFile(path, 2 ** 24));

function line({ path, stat, xattrs, content }: DiskStep): string {
  const label = xattrs.get(fromText("security.selinux")) ?? "-";
  const head = `${path} ${content.kind} ${stat.permissions.toString(8)} ${stat.uid}:${stat.gid} ${stat.mtimeSeconds} ${label}`;
  if (content.kind === "symlink") return `${head} -> ${content.target}`;
  if (content.kind === "file") return `${head} ${JSON.stringify(contentOf(content.source))} ${content.sealedBytes}`;
  return content.kind === "directory" ? head : `${head} ${content.rdev}`;
}

const isRepo = ({ path }: DiskStep) => path.startsWith("composefs/");

describe("rootSteps", () => {
  test("makes the sysroot, its first state as the image has it, and labels what is its own as /usr", () => {
    const state = `state/deploy/${rootImage}`;
    const steps = stepsOf();
    const origin = steps.find(({ path }) => path === `${state}/${rootImage}.origin`);
    expect(origin && line(origin)).toContain("container-image-reference");
    expect(steps.filter((step) => !isRepo(step) && step !== origin).map(line)).toEqual([
      "boot directory 755 0:0 1600000000 usr_t",
      "composefs directory 700 0:0 1600000000 usr_t",
      "state directory 755 0:0 1600000000 usr_t",
      "state/deploy directory 755 0:0 1600000000 usr_t",
      `${state} directory 755 0:0 1600000000 usr_t`,
      `${state}/etc directory 755 0:0 0 -`,
      `${state}/etc/hostname file 640 3:4 99 etc_t "host\\n" undefined`,
      `${state}/etc/link symlink 777 0:0 0 - -> ../usr`,
      `${state}/etc/null character-device 644 0:0 0 - 259`,
      `${state}/etc/pipe fifo 644 0:0 0 - 0`,
      `${state}/var symlink 755 0:0 1600000000 usr_t -> ../../os/default/var`,
      "state/os directory 755 0:0 1600000000 usr_t",
      "state/os/default directory 755 0:0 1600000000 usr_t",
      "state/os/default/var directory 755 0:0 0 -",
      "state/os/default/var/lib directory 700 0:0 0 -",
      'state/os/default/var/lib/state file 644 0:0 0 - "state" undefined',
    ]);
    expect(origin).toMatchObject({ stat: { permissions: 0o644 }, xattrs: labelOf("usr_t") });
  });

  test("an image without labels gives none", () => {
    const steps = stepsOf({}, tree({ usr: directory({}), etc: directory({}), var: directory({}) }));
    expect(steps.filter(({ xattrs }) => xattrs.size > 0)).toEqual([]);
  });

  test("puts what the installation adds where it belongs, at the time of the rest", () => {
    const bytes = new TextEncoder().encode("key");
    const steps = stepsOf({
      additions: [
        { below: "etc", path: "keys", permissions: 0o600, bytes },
        { below: "var", path: "roothome", permissions: 0o700, bytes: "directory" },
      ],
    });
    const lines = steps.map(line);
    expect(lines).toContain(`state/deploy/${rootImage}/etc/keys file 600 0:0 1600000000 - "key" undefined`);
    expect(lines).toContain("state/os/default/var/roothome directory 700 0:0 1600000000 -");
  });

  test("takes all of the repo but its staging directory, sealed as it is", () => {
    const repo = stepsOf().filter(isRepo);
    const there = describeFiles(linux.files, repoOfSysroot).map((each) => each.replace(/^\/target\/(\S+) .*$/, "$1"));
    expect(repo.map(({ path }) => path)).toEqual(there.filter((path) => !path.startsWith("composefs/staging")));
    expect(there).toContain("composefs/staging/left");
    const permissions = { directory: 0o755, symlink: 0o777, file: 0o644 } as const;
    for (const { path, stat, xattrs, content } of repo) {
      const from = `/target/${path}` as ByteString;
      const inRepo = linux.files.lstat(from);
      const kind = content.kind as keyof typeof permissions;
      expect({ path, stat, xattrs }).toMatchObject({
        stat: { permissions: permissions[kind], uid: 0, gid: 0, mtimeSeconds: 1_600_000_000n },
        xattrs: labelOf("usr_t"),
      });
      expect({ path, content }).toEqual({
        path,
        content:
          inRepo.kind === "regular"
            ? { kind: "file", source: from, sealedBytes: inRepo.sizeBytes }
            : inRepo.kind === "symlink"
              ? { kind: "symlink", target: linux.files.readLink(from) }
              : { kind: "directory" },
      });
    }
  });

  test("gives the files of the repo their tails where ext4 is to seal them", () => {
    const [object] = stepsOf().filter(({ path, content }) => isObject(path) && content.kind === "file");
    const before = object && contentOf(`/target/${object.path}` as ByteString);
    const sealed = stepsOf({ withTails: true }).find(({ path }) => path === object?.path);
    const after = contentOf(`/target/${object?.path}` as ByteString);
    expect(sealed?.content).toEqual({ kind: "file", source: `/target/${object?.path}`, sealedBytes: before?.length });
    expect(after.slice(0, before?.length)).toBe(before);
    // A tail begins at the next whole 64 KiB, and ends with its size.
    expect(after.length % 4096).toBe(0);
    expect(after.length).toBeGreaterThan(65536);
  });

  test("refuses an object that is damaged before it gets its seal", () => {
    const [object] = stepsOf().filter(({ path, content }) => isObject(path) && content.kind === "file");
    const fd = linux.files.open(`/target/${object?.path}` as ByteString, "update");
    linux.files.writeAt(fd, Uint8Array.of(1, 2, 3), 0);
    linux.files.close(fd);
    const id = object?.path.slice("composefs/objects/".length).replace("/", "");
    expect(() => stepsOf({ withTails: true })).toThrow(
      expect.objectContaining({
        code: "damaged",
        message: expect.stringContaining(`Cannot install object ${id}: its bytes measure to `),
        facts: { object: id, measured: expect.not.stringContaining(`${id}`) },
      }),
    );
  });
});

function isObject(path: string): boolean {
  return path.startsWith("composefs/objects/");
}
