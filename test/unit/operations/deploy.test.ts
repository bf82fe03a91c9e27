import { beforeEach, describe, expect, test } from "vitest";
import { readBootEntries } from "../../../src/bootloader/bls-directory.ts";
import { blsField, blsOptions } from "../../../src/core/boot/bls-entry.ts";
import { fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { failureOf, machineWith, switchTo } from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const kargs = (text: string) => [
  { path: "usr/lib/bootc" },
  { path: "usr/lib/bootc/kargs.d" },
  { path: "usr/lib/bootc/kargs.d/debug.toml", content: text },
];
const images = {
  v1: await buildOsImage("v1", kargs('kargs = ["debug"]')),
  v2: await buildOsImage("v2", kargs('kargs = ["quiet"]')),
  open: await buildOsImage("v3", kargs('kargs = ["dyndbg=\\"file a"]')),
};

describe("deploy, double quotes in kernel arguments", () => {
  let linux: FakeLinux;
  beforeEach(() => {
    linux = machineWith(images);
  });
  const menu = () => readBootEntries(linux.files, fromText("/target/boot")).entries;

  test("an image whose arguments leave one open is refused, and what boots stays", async () => {
    await switchTo(linux, "v1");
    const before = menu();
    expect(await failureOf(switchTo(linux, "open"))).toMatchObject({
      code: "bad-format",
      message: 'Cannot read the kernel arguments in "/usr/lib/bootc/kargs.d/debug.toml": it leaves a double quote open',
    });
    expect(menu()).toEqual(before);
  });

  test("one that the administrator left open at the end of an entry is closed in the next", async () => {
    await switchTo(linux, "v1");
    const entry = fromText("/target/boot/loader/entries/osdeploy-000001.conf");
    const words = fromBytes(linux.files.readFile(entry, 10_000)).trimEnd();
    linux.files.unlink(entry);
    linux.files.writeNewFile(entry, toBytes(fromText(`${words} dyndbg="file a\n`)), 0o644);
    const { rootImage } = await switchTo(linux, "v2");
    expect(menu().map((each) => blsOptions(each.entry))[0]).toBe(
      `rw panic=30 dyndbg="file a" quiet composefs=${rootImage} osdeploy.entry=osdeploy-000002`,
    );
  });
});

test("deploy: a boot entry is named by what os-release says, also where that is a link", async () => {
  const linked = await buildOsImage("v1", [
    { path: "usr/lib/os.release.d" },
    { path: "usr/lib/os.release.d/server", content: 'ID=x\nPRETTY_NAME="By a link"\nVERSION_ID=7\n' },
    { path: "usr/lib/os-release", symlink: "os.release.d/server" },
  ]);
  const linux = machineWith({ linked });
  await switchTo(linux, "linked");
  const [added] = readBootEntries(linux.files, fromText("/target/boot")).entries;
  expect(["title", "version"].map((name) => added && blsField(added.entry, name))).toEqual(["By a link", "1-7"]);
});
