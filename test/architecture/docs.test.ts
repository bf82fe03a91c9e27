import { writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { describe, expect, test } from "vitest";
import { exitStatuses } from "../../src/cli/exit-status.ts";
import { differences, localLinks, misnumbered, tableRows } from "./docs.ts";
import { manual } from "./manual.ts";
import { projectPaths, projectRoot, readText, type SourceText } from "./source-text.ts";

const { OSDEPLOY_WRITE_MANUAL: writeManual } = process.env;
interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const paths = projectPaths();
const namesIn = (folder: string): readonly string[] =>
  paths.filter((path) => posix.dirname(path) === folder).map((path) => posix.basename(path));

describe("the docs", () => {
  test("docs: every command has its manual page, made of its own help, and no page is without a command", async () => {
    const pages = await manual();
    if (writeManual !== undefined) {
      for (const { file, text } of pages) writeFileSync(join(projectRoot, "docs/reference/man", file), text);
    }
    const files = { name: "docs/reference/man", items: namesIn("docs/reference/man") };
    expect(differences({ name: "the commands", items: pages.map(({ file }) => file) }, files)).toEqual([]);
    // To write them anew: OSDEPLOY_WRITE_MANUAL=1 npx vitest run test/architecture/docs.test.ts
    for (const { file, text } of pages) expect(readText(`docs/reference/man/${file}`).text, file).toBe(text);
  });

  test("docs: every error code has its exit status in the reference", () => {
    const rows = tableRows(readText("docs/reference/exit-status.md").text).filter((row) => row[1]?.startsWith("`"));
    const documented = rows.map(([status, code]) => `${code?.replaceAll("`", "")} ${status}`);
    const real = Object.entries(exitStatuses).map(([code, status]) => `${code} ${status}`);
    expect(differences({ name: "exit-status.ts", items: real }, { name: "the reference", items: documented })).toEqual(
      [],
    );
  });

  test("docs: every dependency has a row in docs/design/dependencies.md", () => {
    const manifest = JSON.parse(readText("package.json").text) as Manifest;
    const pinned = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
    const rows = tableRows(readText("docs/design/dependencies.md").text).filter((row) => row[0]?.startsWith("`"));
    const documented = rows.map(([name, version]) => `${name?.replaceAll("`", "")} ${version}`);
    const real = pinned.map(([name, version]) => `${name} ${version}`);
    expect(differences({ name: "package.json", items: real }, { name: "the docs", items: documented })).toEqual([]);
  });

  test("docs: docs/README.md leads to every page", () => {
    const pages = paths.filter((path) => path.startsWith("docs/") && path.endsWith(".md") && path !== "docs/README.md");
    // Manual pages and changes are listed by their folders, decisions one by one.
    const listed = pages.filter((path) => !/^docs\/(reference\/man|changes)\//.test(path));
    const linked = localLinks(readText("docs/README.md").text).map((target) => posix.join("docs", target));
    const missing = listed.filter((path) => !linked.includes(path)).map((path) => `${path}: no link in docs/README.md`);
    expect(missing).toEqual([]);
  });

  test("docs: every link within the project leads somewhere", () => {
    const pages = paths.filter((path) => path.endsWith(".md") && !path.startsWith("test/vectors/")).map(readText);
    expect(pages.flatMap((page) => deadLinks(page, paths))).toEqual([]);
  });

  test("docs: decision records are numbered without a gap", () => {
    expect(misnumbered(namesIn("docs/decisions"))).toEqual([]);
  });
});

function deadLinks(page: SourceText, known: readonly string[]): readonly string[] {
  return localLinks(page.text)
    .map((target) => posix.join(posix.dirname(page.path), target))
    .filter((path) => !known.some((file) => file === path || file.startsWith(`${path.replace(/\/$/, "")}/`)))
    .map((path) => `${page.path}: ${path} does not exist`);
}

describe("the check itself", () => {
  test("differences: tells what is missing on each side", () => {
    expect(differences({ name: "a", items: ["x", "y"] }, { name: "b", items: ["y", "z"] })).toEqual([
      "x: in a, not in b",
      "z: in b, not in a",
    ]);
  });

  test("tableRows: leaves out titles and rules", () => {
    expect(tableRows("| A | B |\n|---|---|\n| 1 | `x` |\n\ntext | no\n")).toEqual([["1", "`x`"]]);
  });

  test("deadLinks: finds a link to a page that is not there, not one to a folder or another site", () => {
    const text = "[a](gone.md) [b](../man/) [c](https://example.org) [d](here.md#part) [e](#part)";
    expect(deadLinks({ path: "docs/x/page.md", text }, ["docs/man/a.md", "docs/x/here.md"])).toEqual([
      "docs/x/page.md: docs/x/gone.md does not exist",
    ]);
  });

  test("misnumbered: finds a gap and a name without number", () => {
    expect(misnumbered(["0001-a.md", "0003-b.md"])).toEqual(["0003-b.md: number 0002 is expected"]);
    expect(misnumbered(["notes.md"])).toEqual(["notes.md: number 0001 is expected"]);
  });

  test("manual: a page holds synopsis, options and examples of its command", async () => {
    const page = (await manual()).find(({ file }) => file === "osdeploy-repo-init.md");
    expect(page?.text).toMatch(
      /^# osdeploy repo init\n\nMake an empty repo\n\n## Synopsis\n\n {4}osdeploy repo init \[options\]\n/,
    );
    expect(page?.text).toContain(
      "- `--fsverity-algorithm <name>`: the digest that names the repo's objects (one of sha512, sha256) (default: sha512)",
    );
    expect(page?.text).toContain("    osdeploy repo init --repo /srv/repo --fsverity-algorithm sha256 --insecure\n");
  });
});
