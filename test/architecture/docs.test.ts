import { writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { describe, expect, test } from "vitest";
import { commandTable } from "../../src/cli/command-table.ts";
import {
  brokenPipeStatus,
  bugStatus,
  exitStatuses,
  signalStatuses,
  successStatus,
  unchangedStatus,
} from "../../src/cli/exit-status.ts";
import { anchorsOf, differences, localLinks, misnumbered, tableRows } from "./docs.ts";
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

  test("docs: no description breaks its lines itself: terminals differ in width", async () => {
    const descriptions = (await manual()).map(({ file, text }) => [file, text.split(/^## .*\n/m)[2]?.trim()] as const);
    expect(descriptions.filter(([, text]) => text === undefined || /[^\n]\n[^\n]/.test(text))).toEqual([]);
  });

  test("docs: every exit status is in the reference, with its error code where it has one", () => {
    const rows = tableRows(readText("docs/reference/exit-status.md").text);
    const documented = rows.map(([status, code]) => `${code?.replaceAll("`", "")} ${status}`);
    const coded = Object.entries(exitStatuses).map(([code, status]) => `${code} ${status}`);
    const others = [
      successStatus,
      bugStatus,
      unchangedStatus,
      brokenPipeStatus,
      signalStatuses.SIGHUP,
      signalStatuses.SIGTERM,
    ];
    const real = [...coded, ...others.map((status) => `– ${status}`)];
    expect(signalStatuses.SIGINT).toBe(exitStatuses.interrupted);
    expect(new Set(rows.map(([status]) => status)).size).toBe(rows.length);
    expect(differences({ name: "exit-status.ts", items: real }, { name: "the reference", items: documented })).toEqual(
      [],
    );
  });

  test("docs: every command that prints JSON has a schema, and no schema is without a command", () => {
    const commands = commandTable.map(({ words }) => words).filter(printsJson);
    const schemas = namesIn("docs/reference/schema").filter((name) => name !== "progress.json");
    const titled = schemas.flatMap((name) => commandsOf(readText(`docs/reference/schema/${name}`).text));
    const real = { name: "the commands", items: commands.map((words) => words.join(" ")) };
    expect(differences(real, { name: "the titles in docs/reference/schema", items: titled })).toEqual([]);
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
    const linked = localLinks(readText("docs/README.md").text).map(({ path }) => posix.join("docs", path));
    const missing = listed.filter((path) => !linked.includes(path)).map((path) => `${path}: no link in docs/README.md`);
    expect(missing).toEqual([]);
  });

  test("docs: every link within the project leads somewhere", () => {
    const pages = paths.filter((path) => path.endsWith(".md") && !path.startsWith("test/vectors/")).map(readText);
    expect(pages.flatMap((page) => deadLinks(page, paths, pages))).toEqual([]);
  });

  test("docs: decision records are numbered without a gap", () => {
    expect(misnumbered(namesIn("docs/decisions"))).toEqual([]);
  });
});

/** Whether `--json` changes what a command prints: for some there is no other form than the text. */
function printsJson(words: readonly string[]): boolean {
  return !readText(`src/cli/commands/${words.join("/")}.ts`).text.includes('json: "as-text"');
}

/** The commands that the title of a schema names, without their options. */
function commandsOf(schema: string): readonly string[] {
  const { title } = JSON.parse(schema) as { readonly title: string };
  return title.split(", ").map((command) => command.replace(/^osdeploy |( --[a-z-]+)+$/g, ""));
}

function deadLinks(page: SourceText, known: readonly string[], pages: readonly SourceText[]): readonly string[] {
  return localLinks(page.text).flatMap(({ path, anchor }) => {
    const target = path === "" ? page.path : posix.join(posix.dirname(page.path), path);
    if (!known.some((file) => file === target || file.startsWith(`${target.replace(/\/$/, "")}/`))) {
      return [`${page.path}: ${target} does not exist`];
    }
    const anchors = anchorsOf(pages.find((each) => each.path === target)?.text ?? "");
    return anchor === undefined || anchors.includes(anchor) ? [] : [`${page.path}: ${target} has no #${anchor}`];
  });
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
    const text = "[a](gone.md) [b](../man/) [c](https://example.org) [d](here.md)";
    const page = { path: "docs/x/page.md", text };
    expect(deadLinks(page, ["docs/man/a.md", "docs/x/here.md"], [page])).toEqual([
      "docs/x/page.md: docs/x/gone.md does not exist",
    ]);
  });

  test("deadLinks: finds a link to a heading that is not there, in another page or the same", () => {
    const text = "# One\n[a](here.md#part) [b](here.md#gone) [c](#one) [d](#two)";
    const [page, here] = [
      { path: "docs/page.md", text },
      { path: "docs/here.md", text: "## Part\n" },
    ];
    expect(deadLinks(page, [page.path, here.path], [page, here])).toEqual([
      "docs/page.md: docs/here.md has no #gone",
      "docs/page.md: docs/page.md has no #two",
    ]);
  });

  test("anchorsOf: headings as GitHub writes them, and none of what is code", () => {
    const text = "# `a.json`: the A, B\n## Part\n### Part\n```\n# code\n```\n    # code, too\n";
    expect(anchorsOf(text)).toEqual(["ajson-the-a-b", "part", "part-1"]);
  });

  test("commandsOf: the commands of a title, without options", () => {
    const title = "osdeploy a b --json, osdeploy c --dry-run --json";
    expect(commandsOf(JSON.stringify({ title }))).toEqual(["a b", "c"]);
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
