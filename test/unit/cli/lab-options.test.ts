import { describe, expect, test } from "vitest";
import { Frame } from "../../../src/cli/frame.ts";
import { dataDirectories, labOf, parseCount } from "../../../src/cli/lab-options.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { failure } from "../../builders/linux-machines.ts";
import { FakeCliIo, type FakeCliIoOptions } from "../../fakes/fake-cli-io.ts";

function frame(options: FakeCliIoOptions): Frame {
  return new Frame(new FakeCliIo(options), { progress: "none" });
}

describe("labOf", () => {
  test("the system's for root, a user's own for others, and what was named before all", () => {
    expect(labOf({}, frame({ uid: 0 }))).toBe("/var/lib/osdeploy/lab");
    const home = { HOME: "/ann" };
    expect(labOf({}, frame({ uid: 1000, environment: home }))).toBe("/ann/.local/share/osdeploy/lab");
    expect(labOf({}, frame({ uid: 1000, environment: { ...home, XDG_DATA_HOME: "/data" } }))).toBe(
      "/data/osdeploy/lab",
    );
    // It would be another one in each directory.
    expect(labOf({}, frame({ uid: 1000, environment: { ...home, XDG_DATA_HOME: "data" } }))).toBe(
      "/ann/.local/share/osdeploy/lab",
    );
    expect(labOf({ lab: fromText("here") }, frame({ uid: 0 }))).toBe("here");
  });

  test("says so when nobody knows where it is", () => {
    expect(failure(() => labOf({}, frame({ uid: 1000, environment: {} })))).toMatchObject({
      code: "usage",
      message: "Cannot find your lab: HOME is not set",
    });
  });
});

test("dataDirectories: as XDG_DATA_DIRS has them, or the usual ones", () => {
  expect(dataDirectories(frame({ environment: {} }))).toEqual(["/usr/local/share", "/usr/share"]);
  expect(dataDirectories(frame({ environment: { XDG_DATA_DIRS: "" } }))).toEqual(["/usr/local/share", "/usr/share"]);
  expect(dataDirectories(frame({ environment: { XDG_DATA_DIRS: "/a::b:/b" } }))).toEqual(["/a", "/b"]);
});

test("parseCount: whole numbers from 1", () => {
  expect(parseCount("16")).toBe(16);
  for (const text of ["0", "-1", "1.5", "", "x", "10000"]) expect(() => parseCount(text), text).toThrow("no number");
});
