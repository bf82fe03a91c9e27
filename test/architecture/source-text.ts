import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAst } from "vitest/node";

/** The project's folder. */
export const projectRoot = fileURLToPath(new URL("../..", import.meta.url));

/** A text file of the project: its path from the project's folder, and what it says. */
export interface SourceText {
  readonly path: string;
  readonly text: string;
}

/** One rule broken, as a sentence that starts with the file. An empty list of these is what every check wants. */
export type Violation = string;

/** Paths of all files of the project, sorted; what .gitignore names is not the project's. No git is asked: an archive has none. */
export function projectPaths(): readonly string[] {
  const patterns = readText(".gitignore").text.split("\n");
  const folders = new Set([
    ".git",
    ...patterns.flatMap((pattern) => (pattern.endsWith("/") ? pattern.slice(0, -1) : [])),
  ]);
  const endings = patterns.flatMap((pattern) => (pattern.startsWith("*") ? pattern.slice(1) : []));
  const below = (folder: string): readonly string[] =>
    readdirSync(join(projectRoot, folder), { withFileTypes: true }).flatMap((entry) => {
      if (folders.has(entry.name)) return [];
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return below(path);
      return entry.isFile() && !endings.some((ending) => path.endsWith(ending)) ? [path] : [];
    });
  return [...below("")].sort();
}

/** The files under one of `folders` whose names end in one of `endings`, with their text. */
export function readTexts(folders: readonly string[], endings: readonly string[]): readonly SourceText[] {
  return projectPaths()
    .filter((path) => folders.some((folder) => path.startsWith(`${folder}/`)))
    .filter((path) => endings.some((ending) => path.endsWith(ending)))
    .map(readText);
}

/** One file of the project, which must exist. */
export function readText(path: string): SourceText {
  return { path, text: readFileSync(join(projectRoot, path), "utf8") };
}

/** A part of a parsed file. Its fields depend on `type`, as ESTree and its TypeScript extension have them. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly name?: unknown;
  readonly value?: unknown;
  readonly async?: boolean;
  readonly await?: boolean;
  readonly computed?: boolean;
  readonly id?: SyntaxNode | null;
  readonly key?: SyntaxNode;
  readonly source?: SyntaxNode | null;
  readonly object?: SyntaxNode;
  readonly property?: SyntaxNode;
  readonly callee?: SyntaxNode;
  readonly arguments?: readonly SyntaxNode[];
}

/** Parses TypeScript with the parser that vitest brings along. */
export function parse(file: SourceText): SyntaxNode {
  return parseAst(file.text, { lang: "ts" }) as unknown as SyntaxNode;
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string";
}

/** Calls `visit` for `node` and everything in it, with the parent and the parent's field that holds it. */
export function walk(
  node: SyntaxNode,
  visit: (node: SyntaxNode, parent: SyntaxNode | undefined, field: string) => void,
  parent?: SyntaxNode,
  field = "",
): void {
  visit(node, parent, field);
  for (const [name, value] of Object.entries(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child)) walk(child, visit, node, name);
    }
  }
}

/** The line, from 1, on which the character at `offset` stands. */
export function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}
