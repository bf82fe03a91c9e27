import { expect, test } from "vitest";
import { checkRepo } from "../../../src/operations/check-repo.ts";
import type { ProgressEvent } from "../../../src/operations/progress.ts";
import { repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { storeOs } from "../../builders/stored-os.ts";

test.each([
  [false, "check-objects"],
  [true, "check-metadata"],
])(
  "checkRepo: with metadataOnly %s it tells the phase %s, and finds a sound repo sound",
  async (metadataOnly, phase) => {
    const { linux } = await storeOs();
    const seen: ProgressEvent[] = [];
    const system = systemOn(linux, { progress: (event) => seen.push(event) });
    expect(await checkRepo(system, { repo: repoOfSysroot, metadataOnly })).toMatchObject({ ok: true });
    expect(seen).toEqual([{ kind: "phase", phase }]);
  },
);
