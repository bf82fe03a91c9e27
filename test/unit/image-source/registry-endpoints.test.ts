import { expect, test } from "vitest";
import { parseRegistryName } from "../../../src/core/oci/registry-name.ts";
import { parseRegistriesConf } from "../../../src/image-source/registries-conf.ts";
import { endpointsOf } from "../../../src/image-source/registry-endpoints.ts";

test.each([
  ["a.example.org/team/os", "mirror.internal/team/os"],
  ["a.example.org:5000/team/os", "mirror.internal:5000/team/os"],
  ["example.org/team/os", "example.org/team/os"],
  ["badexample.org/team/os", "badexample.org/team/os"],
])("endpointsOf: a wildcard stands for the host and not for its port: %s", (name, expected) => {
  const text = '[[registry]]\nprefix = "*.example.org"\nlocation = "mirror.internal"\n';
  const conf = parseRegistriesConf(text, "r.conf", { allowsV1: false });
  const places = endpointsOf(conf, parseRegistryName(name)).map(({ host, repository }) => `${host}/${repository}`);
  expect(places).toEqual([expected]);
});
