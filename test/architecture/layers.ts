import { posix } from "node:path";
import type { LayerRow } from "./layer-table.ts";
import { lineOf, parse, type SourceText, type SyntaxNode, type Violation, walk } from "./source-text.ts";

/** Every module that `file` names: static, re-exported, dynamic, and `new URL("…", import.meta.url)` of workers. */
export function importsOf(file: SourceText): readonly string[] {
  const found: string[] = [];
  walk(parse(file), (node) => {
    const imports = node.type.startsWith("Import") || node.type.startsWith("Export");
    if (imports && typeof node.source?.value === "string") found.push(node.source.value);
    if (node.type === "NewExpression" && node.callee?.name === "URL") {
      const first = node.arguments?.[0]?.value;
      if (typeof first === "string" && first.startsWith(".")) found.push(first);
    }
  });
  return found;
}

function folderOf(path: string): string {
  return posix.dirname(path).replace(/^src\/?/, "");
}

function target(from: string, specifier: string): string {
  return posix.join(posix.dirname(from), specifier);
}

/** Imports that the layer table does not allow, and folders that have no row in it. */
export function layerViolations(
  files: readonly SourceText[],
  table: Readonly<Record<string, LayerRow>>,
): readonly Violation[] {
  return files.flatMap((file) => {
    const folder = folderOf(file.path);
    const row = table[folder];
    if (row === undefined) return [`${file.path}: the folder ${folder} has no row in the layer table`];
    return importsOf(file)
      .filter((specifier) => !allowed(file.path, specifier, row))
      .map((specifier) => `${file.path}: ${folder} may not import ${specifier}`);
  });
}

function allowed(path: string, specifier: string, row: LayerRow): boolean {
  if (!specifier.startsWith(".")) return allowsModule(row, specifier);
  const folder = folderOf(target(path, specifier));
  return folder === folderOf(path) || row.folders.includes(folder);
}

/** Whether files of `row` may import the package or Node module `name`. */
export function allowsModule(row: LayerRow, name: string): boolean {
  return row.modules.includes(name) || (name.startsWith("node:") && row.modules.includes("node:*"));
}

/** Files that import each other in a circle; type imports count, since they are what a reader follows. */
export function cycles(files: readonly SourceText[]): readonly Violation[] {
  const arrows = new Map(
    files.map((file) => [
      file.path,
      importsOf(file)
        .filter((specifier) => specifier.startsWith("."))
        .map((specifier) => target(file.path, specifier)),
    ]),
  );
  const done = new Set<string>();
  const found: Violation[] = [];
  const follow = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) found.push([...way.slice(way.indexOf(path)), path].join(" → "));
    if (way.includes(path) || done.has(path)) return;
    for (const next of arrows.get(path) ?? []) follow(next, [...way, path]);
    done.add(path);
  };
  for (const path of arrows.keys()) follow(path, []);
  return found;
}

const impureNames: ReadonlySet<string> = new Set([
  ...["Buffer", "Date", "process", "fetch", "Promise", "PromiseLike", "AsyncIterable", "AsyncGenerator"],
  ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "performance", "console", "globalThis", "Worker"],
  ...["Atomics", "SharedArrayBuffer", "require", "navigator"],
]);

/** Uses of the clock, chance, the machine or asynchrony in files that have to be pure. */
export function impurities(files: readonly SourceText[]): readonly Violation[] {
  return files.flatMap((file) => {
    const found: Violation[] = [];
    walk(parse(file), (node, parent, field) => {
      const what = impurity(node, parent, field);
      if (what !== undefined) found.push(`${file.path}:${lineOf(file.text, node.start)}: core may not use ${what}`);
    });
    return found;
  });
}

function impurity(node: SyntaxNode, parent: SyntaxNode | undefined, field: string): string | undefined {
  if (node.async === true) return "async";
  if (node.type === "AwaitExpression" || node.await === true) return "await";
  if (node.type === "MemberExpression" && isMathRandom(node)) return "Math.random";
  if (node.type !== "Identifier" || !impureNames.has(String(node.name))) return undefined;
  const isOnlyAName = (field === "property" || field === "key") && parent?.computed !== true;
  return isOnlyAName ? undefined : String(node.name);
}

function isMathRandom(node: SyntaxNode): boolean {
  return node.object?.name === "Math" && node.property?.name === "random";
}
