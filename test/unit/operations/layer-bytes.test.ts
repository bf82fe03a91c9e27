import { expect, test } from "vitest";
import { inTurns } from "../../../src/operations/layer-bytes.ts";
import { systemOn } from "../../builders/operation-machine.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

async function* pieces(count: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) yield new Uint8Array(1024 * 1024);
}

test("inTurns: others get their turn now and then, and a stop is heard", async () => {
  const stop = new AbortController();
  const system = systemOn(new FakeLinux(), { signal: stop.signal });
  setImmediate(() => stop.abort());
  let seen = 0;
  const read = async () => {
    for await (const piece of inTurns(system, pieces(100))) seen += piece.length;
  };
  await expect(read()).rejects.toMatchObject({ code: "interrupted" });
  expect(seen).toBe(4 * 1024 * 1024);
});
