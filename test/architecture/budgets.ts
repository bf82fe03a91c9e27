import { lineOf, parse, type SourceText, type SyntaxNode, type Violation, walk } from "./source-text.ts";

/** The size budgets in lines. To raise one takes a decision record. */
const budgets = { function: 60, file: 400, commandFile: 60 } as const;

/** Lines of `text`, as an editor counts them. */
export function lineCount(text: string): number {
  return text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
}

/** Files longer than their budget; a command file has a smaller one. */
export function longFiles(files: readonly SourceText[]): readonly Violation[] {
  return files.flatMap(({ path, text }) => {
    const budget = path.startsWith("src/cli/commands/") ? budgets.commandFile : budgets.file;
    const lines = lineCount(text);
    return lines > budget ? [`${path}: ${lines} lines, ${budget} allowed`] : [];
  });
}

const functionTypes: ReadonlySet<string> = new Set([
  "FunctionDeclaration",
  "FunctionExpression",
  "ArrowFunctionExpression",
]);

/** Functions longer than their budget, named where they have a name. */
export function longFunctions(files: readonly SourceText[]): readonly Violation[] {
  return files.flatMap((file) => {
    const found: Violation[] = [];
    walk(parse(file), (node, parent) => {
      if (!functionTypes.has(node.type)) return;
      const first = lineOf(file.text, node.start);
      const lines = lineOf(file.text, node.end) - first + 1;
      if (lines > budgets.function) {
        found.push(`${file.path}:${first}: ${nameOf(node, parent)} has ${lines} lines, ${budgets.function} allowed`);
      }
    });
    return found;
  });
}

function nameOf(node: SyntaxNode, parent: SyntaxNode | undefined): string {
  const named = node.id ?? parent?.id ?? parent?.key;
  return typeof named?.name === "string" ? named.name : "a function";
}
