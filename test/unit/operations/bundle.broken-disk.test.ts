import { expect, test } from "vitest";
import { OsdeployError } from "../../../src/core/errors.ts";
import { bundle, host, switchToBundle } from "../../builders/bundles.ts";
import { layoutReference } from "../../builders/operation-machine.ts";

test("switchImage: a disk that fails while a bundle's layer is put together is told as that, not as a bundle for other machines", async () => {
  const target = await host("v1");
  await bundle(target, { bases: [layoutReference("v1")] });
  const rehearsal = target.crash({ keepUnsynced: true });
  await switchToBundle(rehearsal);
  const places = rehearsal.trace.flatMap(({ path }, at) => (path.includes("/staging/") ? [at + 1] : []));
  expect(places.length).toBeGreaterThan(40);
  const messages: string[] = [];
  for (const failAt of places) {
    const failing = target.crash({ keepUnsynced: true }, { failAt, fault: "EIO" });
    try {
      await switchToBundle(failing);
    } catch (error) {
      if (!(error instanceof OsdeployError)) throw error;
      messages.push(error.message);
    }
  }
  expect(messages.length).toBeGreaterThan(40);
  expect(messages.filter((message) => !message.endsWith("input/output error (EIO)"))).toEqual([]);
}, 60_000);
