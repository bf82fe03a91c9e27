import { describe, expect, test } from "vitest";
import { layerTable } from "./layer-table.ts";
import { allowsModule, cycles, importsOf, impurities, layerViolations } from "./layers.ts";
import { readTexts, type SourceText } from "./source-text.ts";

const sources = readTexts(["src"], [".ts"]);

describe("the source", () => {
  test("layers: every import goes where the layer table allows, and every folder has a row", () => {
    expect(layerViolations(sources, layerTable)).toEqual([]);
  });

  test("layers: no file is in an import cycle", () => {
    expect(cycles(sources)).toEqual([]);
  });

  test("layers: core is pure", () => {
    expect(impurities(sources.filter((file) => file.path.startsWith("src/core/")))).toEqual([]);
  });

  test("layers: koffi, the file system, processes, undici and commander have one home each", () => {
    const homes = (module: string): readonly string[] =>
      Object.entries(layerTable).flatMap(([folder, row]) => (allowsModule(row, module) ? [folder] : []));
    expect(homes("koffi")).toEqual(["linux"]);
    expect(homes("node:fs")).toEqual(["linux"]);
    expect(homes("node:child_process")).toEqual(["linux"]);
    expect(homes("node:worker_threads")).toEqual(["linux", "operations"]);
    expect(homes("undici")).toEqual(["image-source"]);
    expect(homes("commander").every((folder) => folder.startsWith("cli"))).toBe(true);
  });

  test("layers: no thread is ended from outside, which can end the program while a native module is at work", () => {
    expect(sources.filter(({ text }) => text.includes(".terminate(")).map(({ path }) => path)).toEqual([]);
  });
});

describe("the check itself", () => {
  const file = (path: string, text: string): SourceText => ({ path, text });

  test("importsOf: finds static, type, re-exported, dynamic and worker modules", () => {
    const text = [
      'import { a } from "./a.ts";',
      'import type { B } from "./b.ts";',
      'export { c } from "./c.ts";',
      'export const d = () => import("./d.ts");',
      'export const e = new URL("./e.ts", import.meta.url);',
      'export const not = "./f.ts";',
    ].join("\n");
    expect(importsOf(file("src/repo/x.ts", text))).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts"]);
  });

  test.each([
    ["a brother", "src/repo/a.ts", "../sysroot/b.ts"],
    ["what stands above", "src/linux/a.ts", "../repo/b.ts"],
    ["the kernel's binding outside linux", "src/repo/a.ts", "koffi"],
    ["the file system outside linux", "src/operations/a.ts", "node:fs"],
    ["a Node module in core", "src/core/tree/a.ts", "node:crypto"],
    ["a store from the command line", "src/cli/commands/a.ts", "../../repo/b.ts"],
    ["HTTP outside image-source", "src/operations/a.ts", "undici"],
  ])("layerViolations: refuses to import %s", (_, path, specifier) => {
    const text = `import { b } from "${specifier}";`;
    expect(layerViolations([file(path, text)], layerTable)).toEqual([
      `${path}: ${path.slice(4, path.lastIndexOf("/"))} may not import ${specifier}`,
    ]);
  });

  test("layerViolations: refuses a folder that has no row", () => {
    expect(layerViolations([file("src/shared/a.ts", "")], layerTable)).toEqual([
      "src/shared/a.ts: the folder shared has no row in the layer table",
    ]);
  });

  test("cycles: finds a circle of three files and names it", () => {
    const circle = ["a", "b", "c"].map((name, i) =>
      file(`src/core/${name}.ts`, `import type { X } from "./${["b", "c", "a"][i]}.ts";`),
    );
    expect(cycles(circle)).toEqual(["src/core/a.ts → src/core/b.ts → src/core/c.ts → src/core/a.ts"]);
  });

  test.each([
    ["async", "export async function f() {}"],
    ["await", "await g();"],
    ["Date", "export const t = new Date();"],
    ["process", "export const e = process.env;"],
    ["Buffer", 'export const b = Buffer.from("");'],
    ["fetch", 'export const r = fetch("x");'],
    ["Math.random", "export const r = Math.random();"],
    ["Promise", "export type P = Promise<void>;"],
  ])("impurities: refuses %s", (what, text) => {
    expect(impurities([file("src/core/x.ts", `\n${text}`)])).toContain(`src/core/x.ts:2: core may not use ${what}`);
  });

  test("impurities: a field that only has such a name is fine", () => {
    expect(impurities([file("src/core/x.ts", "export const f = (a: { process: 1 }) => a.process;")])).toEqual([]);
  });
});
