import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseRegistryName } from "../../../src/core/oci/registry-name.ts";
import { signaturePlaces } from "../../../src/image-source/signature-places.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

/** What registries.d with these files says of an image. */
function places(name: string, files: Readonly<Record<string, string>>, userId = 0) {
  const linux = new FakeLinux();
  for (const [path, text] of Object.entries(files)) {
    const parts = path.split("/").slice(1, -1);
    for (const [index] of parts.entries()) {
      const directory = fromText(`/${parts.slice(0, index + 1).join("/")}`);
      if (linux.files.lstatIfExists(directory) === undefined) linux.files.makeDirectory(directory, 0o755);
    }
    linux.files.writeNewFile(fromText(path), new TextEncoder().encode(text), 0o644);
  }
  return signaturePlaces(linux.files, parseRegistryName(name), { variables: { HOME: "/ann" }, userId });
}

const only = (place: string) => ({ lookaside: place, lookasideToWrite: place });
const machine = "/etc/containers/registries.d";

const levels = [..."bcdefghij"].map((name, at) => {
  const below = `*${"abcdefghi"[at]}`;
  return `${name}: &${name} [${Array.from({ length: 9 }, () => below).join(",")}]\n`;
});
const laughs = `a: &a [1]\n${levels.join("")}`;

describe("signaturePlaces", () => {
  test("has defaults of root and of users where nothing is said", () => {
    const usual = "file:///var/lib/containers/sigstore";
    expect(places("quay.io/os", {})).toEqual({ lookaside: usual, lookasideToWrite: usual, attachments: false });
    expect(places("quay.io/os", { [`${machine}/empty.yaml`]: "" }, 1000).lookaside).toBe(
      "file:///ann/.local/share/containers/sigstore",
    );
  });

  test("takes each key from the most specific section that has it, of all files", () => {
    const files = {
      [`${machine}/a.yaml`]: "default-docker:\n  lookaside: https://default\n  use-sigstore-attachments: true\n",
      [`${machine}/b.yaml`]:
        "docker:\n  quay.io:\n    sigstore: https://old-name\n  quay.io/os:\n    use-sigstore-attachments: false\n",
      [`${machine}/c.txt`]: "no yaml: [",
    };
    expect(places("quay.io/os:v1", files)).toMatchObject({ lookaside: "https://old-name", attachments: false });
    expect(places("quay.io/more:v1", files)).toMatchObject({ lookaside: "https://old-name", attachments: true });
    expect(places("example.com/os:v1", files)).toMatchObject({ lookaside: "https://default", attachments: true });
  });

  test("writes to another place than it reads from, where one is named", () => {
    const files = {
      [`${machine}/a.yaml`]:
        "default-docker:\n  lookaside-staging: file:///new\ndocker:\n  quay.io:\n    sigstore-staging: file:///old\n",
    };
    expect(places("quay.io/os", files)).toMatchObject({ lookasideToWrite: "file:///old" });
    expect(places("example.com/os", files)).toMatchObject({ lookasideToWrite: "file:///new" });
  });

  test("writes where the most specific section reads, if only a wider one names another place for new ones", () => {
    const files = {
      [`${machine}/a.yaml`]:
        "default-docker: {lookaside: 'file:///all', lookaside-staging: 'file:///new'}\n" +
        "docker:\n  quay.io: {lookaside-staging: 'file:///quay'}\n  quay.io/team: {lookaside: 'file:///team'}\n" +
        "  quay.io/team/os: {use-sigstore-attachments: true}\n",
    };
    expect(places("quay.io/team/os", files)).toMatchObject({ lookasideToWrite: "file:///team" });
    expect(places("quay.io/os", files)).toMatchObject({ lookaside: "file:///all", lookasideToWrite: "file:///quay" });
    expect(places("example.com/os", files)).toMatchObject({ lookasideToWrite: "file:///new" });
  });

  test("takes a user's directory instead of the machine's", () => {
    const files = {
      [`${machine}/a.yaml`]: "default-docker:\n  lookaside: https://machine\n",
      "/ann/.config/containers/registries.d/a.yaml": "docker: {}\ndefault-docker:\n",
    };
    expect(places("quay.io/os", files, 1000).lookaside).toMatch(/^file:/);
  });

  test.each<readonly [string, string, RegExp]>([
    ["what is no YAML", "docker: [", /it is no YAML/],
    ["a key that stands twice", "docker: {}\ndocker: {}\n", /it is no YAML/],
    ["an alias of nothing", "default-docker: *a\n", /its aliases/],
    ["aliases that grow without end", laughs, /its aliases/],
    ["a list for a section", "default-docker: [1]\n", /a section is no mapping/],
    ["a place to write that is no text", "default-docker: {lookaside-staging: 1}\n", /a lookaside-staging is no text/],
    ["a lookaside that is no text", "default-docker: {lookaside: 1}\n", /a lookaside is no text/],
    [
      "attachments that are no boolean",
      'default-docker: {use-sigstore-attachments: "true"}\n',
      /neither true nor false/,
    ],
  ])("refuses %s", (_name, text, message) => {
    expect(() => places("quay.io/os", { [`${machine}/a.yaml`]: text })).toThrow(message);
  });

  test.each<readonly [string, string, object]>([
    ["yes", "default-docker: {use-sigstore-attachments: yes}", { attachments: true }],
    ["On in quotes", 'default-docker: {use-sigstore-attachments: "On"}', { attachments: true }],
    [
      "off for a repository",
      "default-docker: {use-sigstore-attachments: on}\ndocker: {quay.io/os: {use-sigstore-attachments: off}}",
      { attachments: false },
    ],
    ["null for a flag", "default-docker: {use-sigstore-attachments: }", { attachments: false }],
    ["no text", "default-docker: {lookaside: ''}", { lookaside: "file:///var/lib/containers/sigstore" }],
    ["an empty text beside the old word", "default-docker: {lookaside: '', sigstore: 'file:///x'}", only("file:///x")],
    [
      "no text in a section",
      "default-docker: {lookaside: 'file:///x'}\ndocker: {quay.io: {lookaside: ''}}",
      only("file:///x"),
    ],
    ["an alias", "docker: {example.com: &a {lookaside: 'file:///x'}}\ndefault-docker: *a", only("file:///x")],
    ["a merged section", "a: &a {lookaside: 'file:///x'}\ndefault-docker: {<<: *a}", only("file:///x")],
    ["a second document", "default-docker: {lookaside: 'file:///x'}\n---\ndefault-docker: [1]", only("file:///x")],
  ])("reads %s as skopeo does", (_name, text, expected) => {
    expect(places("quay.io/os", { [`${machine}/a.yaml`]: text })).toMatchObject(expected);
  });

  test("refuses two files that say the same", () => {
    const both = (text: string) => ({ [`${machine}/a.yaml`]: text, [`${machine}/b.yaml`]: text });
    expect(() => places("quay.io/os", both("docker: {quay.io: {}}\n"))).toThrow(
      /another file has the scope "quay.io", too/,
    );
    expect(() => places("quay.io/os", both("default-docker: {}\n"))).toThrow(/another file has default-docker, too/);
  });
});
