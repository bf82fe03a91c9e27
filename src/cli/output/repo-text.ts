import { formatBytes } from "../../core/bytes/byte-count.ts";
import type { ByteString } from "../../core/bytes/byte-string.ts";
import type { checkRepo } from "../../operations/check-repo.ts";
import type { CollectGarbageResult } from "../../operations/collect-garbage.ts";
import type { InitRepoResult } from "../../operations/init-repo.ts";
import type { RepoInfoResult } from "../../operations/repo-info.ts";
import { printable, printableBytes } from "./plain-text.ts";
import { formatFields } from "./table.ts";
import { formatCount } from "./units.ts";

type FsckReport = Awaited<ReturnType<typeof checkRepo>>;

/** What `repo init` made. */
export function initRepoText(result: InitRepoResult): string {
  const security = result.secure ? "with fs-verity" : "without fs-verity";
  const state = result.created ? "Made" : "There is already";
  return `${state} a ${result.algorithm} repo ${security} at ${printable(result.path)}\n`;
}

/** What `repo fsck` found: a line for each problem, who is hit below it, and the sum, which tells whether objects were read. */
export function checkRepoText(report: FsckReport, options: { readonly metadataOnly: boolean }): string {
  const problems = report.problems.map(({ severity, kind, path, message, hits, files }) => {
    const named = [...files.map((file) => `is the content of ${file}`), ...hits.map((hit) => `hits ${hit}`)];
    const who = named.map((line) => `    ${printable(line)}\n`).join("");
    return `${severity}: ${printable(path)}: ${printable(message)} [${kind}]\n${who}`;
  });
  const errors = report.problems.filter(({ severity }) => severity === "error").length;
  const remedy = report.problems.some(({ kind }) => broughtAgain.has(kind))
    ? "To bring again what is damaged: osdeploy pull --repair IMAGE\n"
    : "";
  const objects = `${formatCount(report.objects, "object")} (${formatBytes(report.objectBytes)})`;
  const others = `${formatCount(report.streams, "stream")}, ${formatCount(report.images, "root image")}`;
  const checked = options.metadataOnly ? `${others}; ${objects} not read` : `${objects}, ${others}`;
  const sum = report.ok ? "all is well" : formatCount(errors, "error");
  return `${problems.join("")}Checked ${checked}: ${sum}\n${remedy}`;
}

/** What a pull mends that is told to. */
const broughtAgain: ReadonlySet<string> = new Set([
  "object-damaged",
  "object-missing",
  "object-unsealed",
  "object-unreadable",
]);

/** What `repo gc` removed or would remove; with `verbose` every name. */
export function collectGarbageText(result: CollectGarbageResult, options: { readonly verbose?: true }): string {
  const removed = `${formatCount(result.objects.length, "object")} (${formatBytes(result.objectBytes)})`;
  const links = formatCount(result.links.length + result.danglingReferences.length, "name");
  const leftovers = formatCount(result.leftovers.length, "leftover");
  const verb = result.dryRun ? "Would remove" : "Removed";
  const strays = result.strays
    .map((path) => `Left alone: ${printableBytes(path)} does not belong to a repo\n`)
    .join("");
  const names = options.verbose === true ? namesText(result) : "";
  return `${names}${strays}${verb} ${removed}, ${links} and ${leftovers}; ${formatCount(result.keptObjects, "object")} kept\n`;
}

function namesText(result: CollectGarbageResult): string {
  const paths = [...result.danglingReferences, ...result.links, ...result.leftovers].map(printableBytes);
  const objects = result.objects.map(({ id, sizeBytes }) => `${id} ${sizeBytes}`);
  return [...paths, ...objects].map((line) => `${line}\n`).join("");
}

/** The same for `--json`: paths as text. */
export function collectGarbageValue(result: CollectGarbageResult): unknown {
  const texts = (paths: readonly ByteString[]): readonly string[] => paths.map(printableBytes);
  return {
    ...result,
    danglingReferences: texts(result.danglingReferences),
    links: texts(result.links),
    leftovers: texts(result.leftovers),
    strays: texts(result.strays),
  };
}

/** What a repo is and holds. */
export function repoInfoText(info: RepoInfoResult): string {
  return formatFields([
    ["Repo", printable(info.path)],
    ["Digest", info.algorithm],
    ["Security", info.secure ? "fs-verity: the kernel checks what is read" : "none: made without fs-verity"],
    ["Root images", `${info.rootImages}, of format ${info.erofsFormat}`],
    ["Tags", String(info.tags)],
    ["Streams", String(info.streams)],
    ["Objects", `${info.objects} (${formatBytes(info.objectBytes)})`],
  ]);
}
