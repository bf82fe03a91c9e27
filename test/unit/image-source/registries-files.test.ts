import { expect, test } from "vitest";
import { readRegistriesConf } from "../../../src/image-source/registries-files.ts";
import { machineWithFiles } from "../../builders/configuration.ts";

const machine = "/etc/containers/registries.conf";
const user = "/h/.config/containers/registries.conf";

const read = (files: Readonly<Record<string, string>>, variables: Readonly<Record<string, string>> = {}) =>
  readRegistriesConf(machineWithFiles(files).files, { variables: { HOME: "/h", ...variables }, userId: 7 });

/** All that one file can set, once. */
const settings = (name: string, mode: string) =>
  `unqualified-search-registries = ["${name}"]\ncredential-helpers = ["${name}"]\nshort-name-mode = "${mode}"\n`;

test("readRegistriesConf: the later file has the say about everything that it sets, and about nothing else", () => {
  const files = {
    [machine]: settings("first", "disabled"),
    [`${machine}.d/1.conf`]: settings("second", "permissive"),
    [`${user}.d/1.conf`]: settings("third", "enforcing"),
  };
  const says = (name: string, mode: string) => ({
    ...{ searchRegistries: [name], credentialHelpers: [name], shortNameMode: mode },
  });
  expect(read(files)).toMatchObject(says("third", "enforcing"));
  expect(read({ ...files, [`${user}.d/1.conf`]: "" })).toMatchObject(says("second", "permissive"));
});

test("readRegistriesConf: beside a file that the environment names, a user's own one does not count", () => {
  const files = { "/named": "", [`${machine}.d/1.conf`]: settings("machine", "disabled"), [user]: "" };
  expect(read(files).searchRegistries).toBeUndefined();
  expect(read(files, { CONTAINERS_REGISTRIES_CONF: "/named" }).searchRegistries).toEqual(["machine"]);
});
