import { dirname } from "node:path";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { FakeLinux, type FakeLinuxOptions } from "../fakes/fake-linux.ts";

/** A fake machine with these files: text as it is, all else as JSON. */
export function machineWithFiles(
  contents: Readonly<Record<string, unknown>>,
  options: FakeLinuxOptions = {},
): FakeLinux {
  const linux = new FakeLinux(options);
  for (const [path, content] of Object.entries(contents)) {
    makeDirectories(linux, dirname(path));
    const text = typeof content === "string" ? content : JSON.stringify(content);
    linux.files.writeNewFile(fromText(path), Buffer.from(text), 0o644);
  }
  return linux;
}

function makeDirectories(linux: FakeLinux, path: string): void {
  if (linux.files.lstatIfExists(fromText(path)) !== undefined) return;
  makeDirectories(linux, dirname(path));
  linux.files.makeDirectory(fromText(path), 0o755);
}
