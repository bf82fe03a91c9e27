import { PassThrough, Writable } from "node:stream";
import { expect, test } from "vitest";
import { outputStream, processIo } from "../../../src/cli/process-io.ts";

/** Of a stream that has what is used of a real one. */
const outputOf = (stream: Writable) => outputStream(stream as unknown as NodeJS.WriteStream, "standard output");

test("outputStream: a stream without isTTY is a pipe of 80 columns, and bytes arrive as they are", async () => {
  const stream = new PassThrough();
  const output = outputOf(stream);
  expect([output.isTerminal, output.columns(), output.rows()]).toEqual([false, 80, 24]);
  await output.write(Uint8Array.of(0xff, 0));
  await output.write("é");
  stream.end();
  expect([...Buffer.concat(await stream.toArray())]).toEqual([0xff, 0, 0xc3, 0xa9]);
});

test("outputStream: a terminal has its own columns", () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 132, rows: 50 });
  const output = outputOf(terminal);
  expect([output.isTerminal, output.columns(), output.rows()]).toEqual([true, 132, 50]);
});

test("outputStream: a terminal that knows no size, such as a serial console, is one of 80 columns and 24 rows", () => {
  const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 0, rows: 0 });
  const output = outputOf(terminal);
  expect([output.columns(), output.rows()]).toEqual([80, 24]);
});

test("outputStream: a write to a stream that failed is an error", async () => {
  const stream = new PassThrough();
  stream.on("error", () => undefined);
  stream.destroy();
  const output = outputOf(stream);
  await expect(output.write("x")).rejects.toThrow();
});

test("outputStream: a full disk is told with the stream's name and its own code", async () => {
  const error = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  const stream = new Writable({ write: (_chunk, _encoding, done) => done(error) });
  stream.on("error", () => undefined);
  const output = outputOf(stream);
  await expect(output.write("x")).rejects.toMatchObject({
    code: "no-space",
    message: expect.stringMatching(/^Cannot write "standard output": .*\(ENOSPC\)$/),
  });
});

test("processIo: takes over the signals only when asked, and the first one aborts with its name", () => {
  const before = process.listenerCount("SIGTERM");
  const io = processIo();
  expect(process.listenerCount("SIGTERM")).toBe(before);
  const signal = io.watchSignals();
  process.emit("SIGTERM");
  expect([signal.aborted, signal.reason]).toEqual([true, "SIGTERM"]);
  // A session that is lost hangs up more than once: this would end the process.
  process.emit("SIGHUP");
  process.emit("SIGHUP");
  for (const name of ["SIGHUP", "SIGINT", "SIGTERM"]) process.removeAllListeners(name);
});

test("processIo: knows the user and opens this machine's Linux", async () => {
  const io = processIo();
  expect(io.uid).toBe(process.getuid?.());
  expect((await io.openLinux()).clock.now()).toBeGreaterThan(1_700_000_000_000);
});
