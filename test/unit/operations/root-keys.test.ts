import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import type { Inode } from "../../../src/core/tree/inode.ts";
import { readRootKeys, rootKeyFiles } from "../../../src/operations/root-keys.ts";
import { directory, file, symlink, tree } from "../../builders/file-trees.ts";
import { systemOn } from "../../builders/operation-machine.ts";
import { putFile } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const key = "ssh-ed25519 AAAA me\n";
const ssh = directory({ "sshd_config.d": directory({}) });

function machine(text = key): FakeLinux {
  const linux = new FakeLinux();
  putFile(linux.files, "/keys", text);
  return linux;
}

/** Where the keys go in an image of these directories, or why they cannot. */
function placesIn(entries: Readonly<Record<string, Inode>>): readonly string[] | string {
  try {
    const files = rootKeyFiles(systemOn(machine()), tree(entries), fromText("/keys"));
    return files.map(({ below, path, permissions }) => `${below}/${path} ${permissions.toString(8)}`);
  } catch (error) {
    if (error instanceof OsdeployError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

const inEtc = [
  "etc/ssh/authorized_keys.d 755",
  "etc/ssh/authorized_keys.d/root 600",
  "etc/ssh/sshd_config.d/10-osdeploy-keys.conf 644",
];
const inVar = (home: string) => [`var/${home} 700`, `var/${home}/.ssh 700`, `var/${home}/.ssh/authorized_keys 600`];

describe("rootKeyFiles", () => {
  test.each(["var/roothome", "/var/roothome", "/var/roothome/"])("uses root's home in /var behind %s", (target) => {
    expect(placesIn({ root: symlink(target) })).toEqual(inVar("roothome"));
  });

  test.each(["var/a/b", "var/..", "var/.hidden", "srv/root", "var", "../var/roothome", "/var/"])(
    "uses /etc where /root leads to %s",
    (target) => {
      expect(placesIn({ root: symlink(target), etc: directory({ ssh }) })).toEqual(inEtc);
    },
  );

  test("uses /etc where root's home is in the image", () => {
    expect(placesIn({ root: directory({}), etc: directory({ ssh }) })).toEqual(inEtc);
    expect(placesIn({ root: directory({}), etc: directory({ ssh: directory({}) }) })).toMatch(/^unsupported: /);
  });

  test("refuses what would be passed over, because the image has keys of its own there", () => {
    const message = "already-exists: Cannot install keys for root: the image has a /";
    const keys = directory({ ...Object.fromEntries(ssh.entries), "authorized_keys.d": directory({ root: file("x") }) });
    expect(placesIn({ etc: directory({ ssh: keys }) })).toBe(`${message}etc/ssh/authorized_keys.d/root of its own`);
    const home = directory({ ".ssh": directory({ authorized_keys: file("x") }) });
    const roaming = { root: symlink("var/roothome"), var: directory({ roothome: home }) };
    expect(placesIn(roaming)).toBe(`${message}var/roothome/.ssh/authorized_keys of its own`);
  });

  test("puts nothing anywhere where no keys are given", () => {
    expect(rootKeyFiles(systemOn(machine()), tree({}), undefined)).toEqual([]);
  });
});

describe("readRootKeys", () => {
  const read = (text: string) => readRootKeys(machine(text).files, fromText("/keys"));

  test("takes a file with a key among other lines, as it is", () => {
    const text = `# mine\n\n  ${key}`;
    expect(new TextDecoder().decode(read(text))).toBe(text);
  });

  test("takes a file that is a link", () => {
    const linux = machine();
    linux.files.symlink(fromText("keys"), fromText("/link"));
    expect(new TextDecoder().decode(readRootKeys(linux.files, fromText("/link")))).toBe(key);
  });

  test.each(["", "\n", " \r\n", "# none\n  # none"])("refuses a file without one: %j", (text) => {
    expect(() => read(text)).toThrow('Cannot use the keys in "/keys": there is none in it');
  });

  test.each(["OPENSSH PRIVATE KEY", "PRIVATE KEY", "RSA PRIVATE KEY"])("refuses a secret: %s", (name) => {
    expect(() => read(`${key}-----BEGIN ${name}-----\nAAAA\n-----END ${name}-----\n`)).toThrow(
      'Cannot use the keys in "/keys": it holds a private key, which would be on every machine',
    );
  });
});
