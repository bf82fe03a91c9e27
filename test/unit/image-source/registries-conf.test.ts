import { describe, expect, test } from "vitest";
import { toText } from "../../../src/core/bytes/byte-string.ts";
import { parseRegistryName } from "../../../src/core/oci/registry-name.ts";
import { parseRegistriesConf, type RegistriesConf } from "../../../src/image-source/registries-conf.ts";
import { readRegistriesConf, registriesConfPaths } from "../../../src/image-source/registries-files.ts";
import { type Endpoint, endpointsOf, endpointToPush } from "../../../src/image-source/registry-endpoints.ts";
import { expandShortName } from "../../../src/image-source/short-names.ts";
import { machineWithFiles } from "../../builders/configuration.ts";

const parse = (text: string, allowsV1 = true): RegistriesConf => parseRegistriesConf(text, "r.conf", { allowsV1 });
const digest = `sha256:${"0123456789abcdef".repeat(4)}`;

/** `host/repository`, with `!` when insecure, `~` for a mirror and `#` when blocked. */
function places(text: string, name: string): readonly string[] {
  return endpointsOf(parse(text), parseRegistryName(name)).map(placeText);
}

function placeText({ host, repository, insecure, isMirror, blockedBy }: Endpoint): string {
  const end = `${insecure ? "!" : ""}${blockedBy === undefined ? "" : `#${blockedBy}`}`;
  return `${isMirror ? "~" : ""}${host}/${repository}${end}`;
}

describe("parseRegistriesConf", () => {
  test("reads what containers-registries.conf(5) has, and passes over what it does not know", () => {
    const conf = parse(`
unqualified-search-registries = ["quay.io/", "docker.io"]
credential-helpers = ["containers-auth.json", "ring"]
short-name-mode = "enforcing"
something = 7
[aliases]
"os" = "quay.io/team/os"
[[registry]]
prefix = "quay.io/team/"
location = "quay.internal:5000/team///"
insecure = true
unknown = true
[[registry.mirror]]
location = "mirror.internal/quay"
pull-from-mirror = "tag-only"
[[registry]]
location = "bad.example"
blocked = true
`);
    expect(conf).toEqual({
      searchRegistries: ["quay.io", "docker.io"],
      credentialHelpers: ["containers-auth.json", "ring"],
      shortNameMode: "enforcing",
      aliases: new Map([["os", "quay.io/team/os"]]),
      registries: new Map([
        ["bad.example", { prefix: "bad.example", location: undefined, insecure: false, blocked: true, mirrors: [] }],
        [
          "quay.io/team",
          {
            ...{ prefix: "quay.io/team", location: "quay.internal:5000/team", insecure: true, blocked: false },
            mirrors: [{ location: "mirror.internal/quay", insecure: false, serves: "tag-only" }],
          },
        ],
      ]),
    });
  });

  test("version 1 is read, alone and in the main file only", () => {
    const v1 = `[registries.search]\nregistries = ["quay.io"]\n[registries.insecure]\nregistries = ["a.b"]\n[registries.block]\nregistries = ["a.b", "c.d"]\n`;
    const conf = parse(v1);
    expect(conf.searchRegistries).toEqual(["quay.io"]);
    expect([...conf.registries.values()].map(({ prefix, insecure, blocked }) => [prefix, insecure, blocked])).toEqual([
      ["a.b", true, true],
      ["c.d", false, true],
    ]);
    expect(() => parse(v1, false)).toThrow("Cannot read r.conf: registries is of version 1, and cannot stand here");
    expect(() => parse(`unqualified-search-registries = []\n${v1}`)).toThrow("is of version 1");
    expect(parse("[registries]").searchRegistries).toEqual([]);
  });

  test("what means nothing is taken: an empty pull-from-mirror, a * in the middle of a prefix, an alias for nothing", () => {
    expect(parse('[[registry]]\nlocation = "a.b"\npull-from-mirror = ""').registries.size).toBe(1);
    expect(places('[[registry]]\nprefix = "a.*.com"\nlocation = "c.d"', "a.b.com/n")).toEqual(["a.b.com/n"]);
    expect(parse('[aliases]\nos = ""').aliases.get("os")).toBe("");
  });

  test.each([
    ["*.a.com", "b.a.com"],
    ["b.a.com", "*.a.com"],
  ])("of prefixes with equally many letters the first by its text counts: %s before %s", (...prefixes) => {
    const tables = prefixes.map((prefix) => `[[registry]]\nprefix = "${prefix}"\nlocation = "${prefix[0]}.x"\n`);
    const text = tables.join("").replace('"*.x"', '"wild.x"');
    expect(places(text, "b.a.com/n:t")).toEqual(["wild.x/n"]);
  });

  test("of two tables with one prefix the first counts", () => {
    const text = `[[registry]]\nprefix = "a.b"\nlocation = "one.x"\n[[registry]]\nprefix = "a.b"\nlocation = "two.x"\n`;
    expect(parse(text).registries.get("a.b")?.location).toBe("one.x");
  });

  test.each([
    ["= 7", "Cannot read r.conf: "],
    ["unqualified-search-registries = 7", "unqualified-search-registries is not an array"],
    [
      'unqualified-search-registries = ["a.b", "a.b/n"]',
      'has "a.b/n" in unqualified-search-registries, which is not a',
    ],
    ['unqualified-search-registries = [""]', 'has "" in unqualified-search-registries, which is not a host'],
    ['unqualified-search-registries = ["http://x"]', 'has "http://x" in unqualified-search-registries'],
    ['[registries.search]\nregistries = ["a.b/n"]', 'registries.search has "a.b/n" in registries, which is not a host'],
    ['[aliases]\nos = "team/os"', 'aliases.os is "team/os", which is not of the form REGISTRY/REPOSITORY'],
    ['[aliases]\nos = "quay.io/team/os:v2"', "is not of the form REGISTRY/REPOSITORY"],
    ['[aliases]\nos = "quay.io/"', "is not of the form REGISTRY/REPOSITORY"],
    ['[aliases]\n"os:v1" = "quay.io/os"', "aliases.os:v1 is for what is no short name without a tag"],
    ['[aliases]\n"quay.io/os" = "quay.io/os"', "is for what is no short name"],
    ['[aliases]\n"OS" = ""', "is for what is no short name"],
    ['short-name-mode = "ask"', 'has the short-name-mode "ask"; it takes disabled, permissive, enforcing'],
    ["[[registry]]\ninsecure = true", "registry[0] has neither a prefix nor a location"],
    ['[[registry]]\nprefix = "a.b"', 'registry[0] has no location for the prefix "a.b"'],
    ['[[registry]]\nlocation = "https://a.b"', "registry[0] has a location with a scheme; leave out https://"],
    ['[[registry]]\nprefix = "*.a/b"\nlocation = "c.d"', "names more than a domain"],
    ['[[registry]]\nlocation = "a.b"\ninsecure = "yes"', "registry[0].insecure is neither true nor false"],
    ['[[registry]]\nlocation = "a.b"\npull-from-mirror = "all"', "sets pull-from-mirror outside a mirror"],
    ['[[registry]]\nlocation = "a.b"\n[[registry.mirror]]\ninsecure = true', "registry[0].mirror[0] has no location"],
    [
      '[[registry]]\nlocation = "a.b"\n[[registry.mirror]]\nlocation = "c.d"\npull-from-mirror = "never"',
      'has the pull-from-mirror "never"',
    ],
    [
      '[[registry]]\nlocation = "a.b"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "c.d"\npull-from-mirror = "all"',
      "below a registry with mirror-by-digest-only",
    ],
    [
      '[[registry]]\nprefix = "a.b"\nlocation = "x.y"\n[[registry]]\nprefix = "c.d"\nlocation = "x.y"\nblocked = true',
      'has two tables for "x.y" that differ in insecure or blocked',
    ],
    [
      '[[registry]]\nprefix = "a.b"\nlocation = "x.y"\n[[registry]]\nlocation = "x.y"\ninsecure = true',
      'has two tables for "x.y" that differ in insecure or blocked',
    ],
  ])("refuses %j", (text, message) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: "bad-format" }));
    expect(() => parse(text)).toThrow(message);
  });
});

describe("endpointsOf", () => {
  test.each([
    ["no rule: the place itself", "", "quay.io/os", ["quay.io/os"]],
    [
      "a rule without location only marks",
      '[[registry]]\nlocation = "quay.io"\ninsecure = true',
      "quay.io/os",
      ["quay.io/os!"],
    ],
    [
      "only whole components match",
      '[[registry]]\nprefix = "quay.io/o"\nlocation = "a.b"',
      "quay.io/os",
      ["quay.io/os"],
    ],
    [
      "a port is none of the host's own text, as in containers/image",
      '[[registry]]\nprefix = "quay.io"\nlocation = "a.b"',
      "quay.io:5000/os",
      ["a.b:5000/os"],
    ],
    [
      "the whole name matches",
      '[[registry]]\nprefix = "quay.io/t/os"\nlocation = "a.b/c"',
      "quay.io/t/os:v1",
      ["a.b/c"],
    ],
    [
      "the longest prefix counts",
      '[[registry]]\nprefix = "quay.io/t"\nlocation = "a.b"\n[[registry]]\nprefix = "quay.io/t/u"\nlocation = "c.d/e"\n[[registry]]\nprefix = "quay.io"\nlocation = "f.g"',
      "quay.io/t/u/os",
      ["c.d/e/os"],
    ],
    [
      "Docker Hub by its full names",
      '[[registry]]\nprefix = "docker.io"\nlocation = "hub.local:5000"',
      "debian",
      ["hub.local:5000/library/debian"],
    ],
    [
      "docker.io/alpine is not docker.io/library/alpine",
      '[[registry]]\nprefix = "docker.io/alpine"\nlocation = "a.b"',
      "alpine",
      ["docker.io/library/alpine"],
    ],
    [
      "a wildcard keeps the name without a location",
      '[[registry]]\nprefix = "*.corp.io"\ninsecure = true',
      "a.b.corp.io:5000/os",
      ["a.b.corp.io:5000/os!"],
    ],
    [
      "a wildcard is replaced as a whole host",
      '[[registry]]\nprefix = "*.corp.io"\nlocation = "m.x/corp"',
      "a.corp.io/os",
      ["m.x/corp/os"],
    ],
    [
      "a wildcard does not match its own domain",
      '[[registry]]\nprefix = "*.corp.io"\nlocation = "m.x"',
      "corp.io/os",
      ["corp.io/os"],
    ],
  ])("%s", (_, text, name, expected) => {
    expect(places(text, name)).toEqual(expected);
  });

  const mirrored = `[[registry]]
location = "quay.io"
insecure = true
[[registry.mirror]]
location = "one.x:5000/quay"
insecure = true
[[registry.mirror]]
location = "two.x"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "three.x"
pull-from-mirror = "tag-only"
`;

  test("mirrors come first, as they are listed and as they may serve; insecure is each one's own", () => {
    expect(places(mirrored, "quay.io/os:v1")).toEqual(["~one.x:5000/quay/os!", "~three.x/os", "quay.io/os!"]);
    expect(places(mirrored, `quay.io/os@${digest}`)).toEqual(["~one.x:5000/quay/os!", "~two.x/os", "quay.io/os!"]);
  });

  test("mirror-by-digest-only: no mirror for a tag", () => {
    const text =
      '[[registry]]\nlocation = "quay.io"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.x"\n';
    expect(places(text, "quay.io/os:v1")).toEqual(["quay.io/os"]);
    expect(places(text, `quay.io/os@${digest}`)).toEqual(["~m.x/os", "quay.io/os"]);
  });

  test("a blocked registry is refused before any access", () => {
    expect(() => places('[[registry]]\nlocation = "bad.example/t"\nblocked = true', "bad.example/t/os")).toThrow(
      expect.objectContaining({
        code: "permission-denied",
        message: 'Cannot use docker://bad.example/t/os:latest: registries.conf blocks "bad.example/t"',
      }),
    );
  });

  test("what is really asked is blocked by its own rule: a mirror, and a place that a rule renames to", () => {
    const block = '[[registry]]\nprefix = "m.x/cache"\nlocation = "m.x/cache"\nblocked = true\n';
    const mirror = `[[registry]]\nlocation = "quay.io"\n[[registry.mirror]]\nlocation = "m.x/cache"\n${block}`;
    expect(places(mirror, "quay.io/os:v1")).toEqual(["~m.x/cache/os#m.x/cache", "quay.io/os"]);
    const renamed = `[[registry]]\nprefix = "quay.io"\nlocation = "m.x"\n${block}`;
    expect(places(renamed, "quay.io/cache/os:v1")).toEqual(["m.x/cache/os#m.x/cache"]);
    expect(places(renamed, "quay.io/other/os:v1")).toEqual(["m.x/other/os"]);
  });

  test("a rule that leads to no registry is an error", () => {
    expect(() => places('[[registry]]\nprefix = "quay.io"\nlocation = "mirror"', "quay.io/t/os")).toThrow(
      'for "quay.io" it leads to "mirror/t/os", which names no registry',
    );
  });
});

describe("endpointToPush", () => {
  const push = (text: string, name: string) => placeText(endpointToPush(parse(text), parseRegistryName(name)));
  const renamed = '[[registry]]\nprefix = "quay.io"\nlocation = "local:5000"\n';

  test.each([
    ["no rule", "", "quay.io/os", "quay.io/os"],
    [
      "a location and mirrors are for reading",
      `${renamed}[[registry.mirror]]\nlocation = "m.x"`,
      "quay.io/os",
      "quay.io/os",
    ],
    ["insecure counts", `${renamed}insecure = true`, "quay.io/os", "quay.io/os!"],
    [
      "a location that leads to no registry",
      '[[registry]]\nprefix = "quay.io"\nlocation = "x"',
      "quay.io/os",
      "quay.io/os",
    ],
  ])("%s", (_, text, name, expected) => {
    expect(push(text, name)).toBe(expected);
  });

  test("blocked: refused", () => {
    expect(() => push(`${renamed}blocked = true`, "quay.io/os")).toThrow('registries.conf blocks "quay.io"');
  });
});

describe("expandShortName", () => {
  const expand = (text: string, repository = "os") =>
    expandShortName(parse(text), { repository, tag: "v1", digest: undefined }).map(
      (name) => `${name.host}/${name.repository}:${name.tag}`,
    );

  test("an alias counts alone, and keeps tag and digest", () => {
    expect(expand('unqualified-search-registries = ["a.b"]\n[aliases]\nos = "quay.io/team/os"')).toEqual([
      "quay.io/team/os:v1",
    ]);
  });

  test("else the search registries, in order", () => {
    expect(expand('unqualified-search-registries = ["a.b:5000", "docker.io"]')).toEqual([
      ...["a.b:5000/os:v1", "docker.io/library/os:v1"],
    ]);
  });

  test.each([
    ["", "usage", "registries.conf has no alias and no search registry; write it in full, as in quay.io/os:v1"],
    [
      'short-name-mode = "enforcing"\nunqualified-search-registries = ["a.b", "c.d"]',
      "usage",
      "it could be in a.b, c.d, and registries.conf wants to be sure",
    ],
  ])("%j: refused", (text, code, message) => {
    expect(() => expand(text)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });

  test("enforcing is content with one registry", () => {
    expect(expand('short-name-mode = "enforcing"\nunqualified-search-registries = ["a.b"]')).toEqual(["a.b/os:v1"]);
  });
});

describe("readRegistriesConf", () => {
  const etc = "/etc/containers/registries.conf";
  const home = "/h/.config/containers/registries.conf";
  const read = (
    files: Readonly<Record<string, string>>,
    variables: Readonly<Record<string, string>> = {},
    userId = 7,
  ) => readRegistriesConf(machineWithFiles(files).files, { variables: { HOME: "/h", ...variables }, userId });
  const search = (name: string) => `unqualified-search-registries = ["${name}"]\n`;

  test("nothing is there: nothing is configured", () => {
    expect(read({})).toEqual({
      ...{ searchRegistries: undefined, credentialHelpers: undefined, shortNameMode: undefined },
      ...{ aliases: new Map(), registries: new Map() },
    });
  });

  test("the machine's file, its directory in byte order, and the user's directory, each over those before", () => {
    const files = {
      [etc]: `${search("main")}short-name-mode = "disabled"\n[[registry]]\nlocation = "a.b"\ninsecure = true\n[aliases]\nx = "a.b/x"\ny = "a.b/y"\n`,
      [`${etc}.d/20.conf`]: `${search("twenty")}[[registry]]\nprefix = "a.b"\nlocation = "c.d"\n`,
      [`${etc}.d/10.conf`]: `${search("ten")}[aliases]\nx = ""\n`,
      [`${etc}.d/30.txt`]: search("text"),
      [`${home}.d/1.conf`]: '[aliases]\ny = "c.d/y"\n',
    };
    const conf = read(files);
    expect(conf.searchRegistries).toEqual(["twenty"]);
    expect(conf.shortNameMode).toBe("disabled");
    expect(conf.aliases).toEqual(new Map([["y", "c.d/y"]]));
    expect([...conf.registries.values()]).toMatchObject([{ prefix: "a.b", location: "c.d", insecure: false }]);
  });

  test("a user's own file stands for the machine's, with its directory", () => {
    const files = {
      [etc]: search("machine"),
      [`${etc}.d/1.conf`]: search("drop-in"),
      [home]: 'short-name-mode = "disabled"',
    };
    expect(read(files).searchRegistries).toBeUndefined();
    expect(read({ ...files, [`${home}.d/1.conf`]: search("own") }).searchRegistries).toEqual(["own"]);
  });

  test("CONTAINERS_REGISTRIES_CONF names the main file, which has to be there; _DIR the only directory", () => {
    const files = { [etc]: search("machine"), [`${etc}.d/1.conf`]: 'short-name-mode = "disabled"', "/x": search("x") };
    const named = read(files, { CONTAINERS_REGISTRIES_CONF: "/x" });
    expect([named.searchRegistries, named.shortNameMode]).toEqual([["x"], "disabled"]);
    expect(read(files, { REGISTRIES_CONFIG_PATH: "/x" }).searchRegistries).toEqual(["x"]);
    expect(read(files, { CONTAINERS_REGISTRIES_CONF_DIR: "/none" }).shortNameMode).toBeUndefined();
    expect(() => read(files, { CONTAINERS_REGISTRIES_CONF: "/y" })).toThrow('Cannot read "/y": there is no such file');
  });

  test("aliases that podman has learnt come before those that are configured", () => {
    const files = {
      [etc]: '[aliases]\nx = "a.b/x"\n',
      "/h/.cache/containers/short-name-aliases.conf": '[aliases]\nx = "user.io/x"\n',
      "/var/cache/containers/short-name-aliases.conf": '[aliases]\nx = "root.io/x"\n',
    };
    expect(read(files).aliases.get("x")).toBe("user.io/x");
    expect(read(files, {}, 0).aliases.get("x")).toBe("root.io/x");
  });

  test("version 1 cannot stand in a drop-in; the error names the file", () => {
    expect(() => read({ [`${etc}.d/1.conf`]: "[registries.search]\nregistries = []" })).toThrow(
      `Cannot read ${etc}.d/1.conf: registries is of version 1`,
    );
  });

  test("registriesConfPaths: tells the files that are read", () => {
    const { files } = machineWithFiles({ [home]: "" });
    const paths = registriesConfPaths(files, { variables: { HOME: "/h" }, userId: 0 });
    expect([toText(paths.main), ...paths.directories.map(toText)]).toEqual([home, `${home}.d`]);
  });
});
