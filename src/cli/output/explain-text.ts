import type { ExplainedFile } from "../../operations/explain-file.ts";
import type { ExplainImageResult } from "../../operations/explain-image.ts";
import type { ExplainedPromise, TriedRootImage } from "../../operations/explain-promise.ts";
import { printable } from "./plain-text.ts";
import { formatFields, formatTable } from "./table.ts";
import { formatCount } from "./units.ts";

/** What an image gives, each promise with what became of it, and where a file differs. */
export function explainText(result: ExplainImageResult): string {
  const made = formatFields([
    ["Image", printable(result.image)],
    ["Digest", result.manifestDigest],
    ["Root image", result.rawImage ?? "none"],
    ["Boot image", result.bootImage ?? `none: ${printable(result.bootRefusal ?? "it cannot be written")}`],
  ]);
  const promises =
    result.promises.length === 0 ? "\nNothing is promised of this image\n" : result.promises.map(promiseText).join("");
  return `${made}${promises}${result.expected === null ? "" : fileText(result.expected)}`;
}

const subjects: Readonly<Record<ExplainedPromise["subject"], string>> = {
  raw: "the root image",
  boot: "the boot image",
  config: "the config",
  manifest: "the manifest",
};

function promiseText({ source, subject, promised, made, verdict, tried }: ExplainedPromise): string {
  const title = `\n${capital(printable(source))}: ${verdictWords[verdict]}\n`;
  if (verdict === "holds") return title;
  const fields = formatFields([
    [`Promised for ${subjects[subject]}`, printable(promised)],
    ["Made", made ?? "nothing of this format"],
  ]);
  return `${title}${fields.replace(/^(?=.)/gm, "  ")}${triedText(subject, tried)}`;
}

const verdictWords: Readonly<Record<ExplainedPromise["verdict"], string>> = {
  holds: "holds",
  broken: "does not hold",
  "not-compared": "not compared, osdeploy makes no such root image",
};

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function triedText(subject: ExplainedPromise["subject"], tried: readonly TriedRootImage[]): string {
  if (tried.length === 0) return "";
  const columns = [{ title: "TREE" }, { title: "FORMAT" }, { title: "ALGORITHM" }, { title: "MATCHES" }];
  const rows = tried.map(({ tree, formatVersion, algorithm, matches }) => [
    tree,
    String(formatVersion),
    algorithm,
    matches ? "yes" : "no",
  ]);
  const match = tried.find(({ matches }) => matches);
  const words =
    match === undefined
      ? "No combination that was tried gives the promised digest: what was built is not what is here"
      : `The promise for ${subjects[subject]} was computed from ${trees[match.tree]}, in format ${match.formatVersion} with ${match.algorithm}`;
  return `${formatTable(columns, rows).replace(/^(?=.)/gm, "  ")}  ${words}\n`;
}

const trees: Readonly<Record<TriedRootImage["tree"], string>> = {
  boot: "the tree that boots",
  raw: "the tree to look at",
  merged: "the layers without any change",
};

function fileText({ path, kind, formatVersion, rootImage, tree, differences, first }: ExplainedFile): string {
  const format = kind === "dump" ? "a dump" : `a root image of format ${formatVersion}`;
  const head = `\n${printable(path)} is ${format}, compared with ${trees[tree]}: `;
  const id = rootImage === null ? "" : `  It measures to ${rootImage}\n`;
  if (first === null) return `${head}both hold the same\n${id}`;
  const changes = first.changes.length === 0 ? "" : ` (${first.changes.join(", ")})`;
  const lines = [
    `${head}${formatCount(differences, "path")} differ\n${id}`,
    `  First difference: ${printable(first.path)}${changes}\n`,
    `  - ${first.expected === null ? "not there" : printable(first.expected)}\n`,
    `  + ${first.made === null ? "not there" : printable(first.made)}\n`,
  ];
  return lines.join("");
}
