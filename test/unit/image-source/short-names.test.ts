import { expect, test } from "vitest";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { parseRegistriesConf } from "../../../src/image-source/registries-conf.ts";
import { expandShortName } from "../../../src/image-source/short-names.ts";

test.each([
  ["an alias", '[aliases]\nos = "quay.io/team/os"', 1],
  ["each search registry", 'unqualified-search-registries = ["a.b", "c.d"]', 2],
])("expandShortName: by way of %s a digest that was asked for stays, besides the tag", (_, text, count) => {
  const digest = parseManifestDigest(`sha256:${"a".repeat(64)}`);
  const conf = parseRegistriesConf(text, "r.conf", { allowsV1: false });
  const names = expandShortName(conf, { repository: "os", tag: "v1", digest });
  expect(names.map((name) => [name.tag, name.digest])).toEqual(Array.from({ length: count }, () => ["v1", digest]));
});
