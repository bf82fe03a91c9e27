import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
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

/** Paths of all files that git would take, sorted; what lies in ignored folders is not the project's. */
export function projectPaths(): readonly string[] {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: projectRoot,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  return [...new Set(listed.split("\0"))].filter((path) => path !== "" && isFile(path)).sort();
}

function isFile(path: string): boolean {
  return statSync(join(projectRoot, path), { throwIfNoEntry: false })?.isFile() === true;
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
