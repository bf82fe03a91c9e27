import { describe, expect, test } from "vitest";
import { parseRegistryName } from "../../../../src/core/oci/registry-name.ts";
import { parsePolicy } from "../../../../src/core/trust/policy.ts";
import { type PolicySubject, registryScopes, requirementsFor } from "../../../../src/core/trust/policy-scope.ts";

const digest = `sha256:${"a".repeat(64)}`;

describe("registryScopes", () => {
  test("goes from the reference over its parents to the wildcards of the host without port", () => {
    expect(registryScopes(parseRegistryName("a.b.example.com:5000/team/os:v1"))).toEqual([
      "a.b.example.com:5000/team/os:v1",
      "a.b.example.com:5000/team/os",
      "a.b.example.com:5000/team",
      "a.b.example.com:5000",
      "*.b.example.com",
      "*.example.com",
      "*.com",
    ]);
    expect(registryScopes(parseRegistryName(`localhost/os:v1@${digest}`))[0]).toBe(`localhost/os@${digest}`);
  });
});

describe("requirementsFor", () => {
  const scopes = (names: readonly string[]) =>
    Object.fromEntries(
      names.map((name, index) => [name, Array.from({ length: index + 2 }, () => ({ type: "reject" }))]),
    );
  const policyWith = (transports: Readonly<Record<string, readonly string[]>>) =>
    parsePolicy(
      new TextEncoder().encode(
        JSON.stringify({
          default: [{ type: "reject" }],
          transports: Object.fromEntries(Object.entries(transports).map(([name, list]) => [name, scopes(list)])),
        }),
      ),
      "p",
    );
  const registry = (text: string): PolicySubject => ({ kind: "registry", name: parseRegistryName(text) });

  test.each<readonly [string, PolicySubject, string]>([
    ["the exact reference", registry("quay.io/team/os:v1"), "docker quay.io/team/os:v1"],
    ["the repository for another tag", registry("quay.io/team/os:v2"), "docker quay.io/team/os"],
    ["the registry", registry("quay.io/other:v2"), "docker quay.io"],
    ["the transport, when a port makes it another host", registry("quay.io:5000/other:v2"), "transport docker"],
    ["a wildcard", registry("cdn.example.com/x:v1"), "docker *.example.com"],
    ["a path with its tag", { kind: "path", transport: "oci", path: "/images/os", tag: "v1" }, "oci /images/os:v1"],
    ["a parent of a path", { kind: "path", transport: "oci", path: "/images/b/c", tag: "" }, "oci /images"],
    ["the default for other paths", { kind: "path", transport: "oci", path: "/else", tag: "" }, "default"],
    ["the default for another transport", { kind: "transport", transport: "docker-archive" }, "default"],
  ])("finds %s", (_name, subject, scope) => {
    const policy = policyWith({
      docker: ["quay.io/team/os:v1", "quay.io/team/os", "quay.io", "*.example.com", ""],
      oci: ["/images/os:v1", "/images"],
    });
    expect(requirementsFor(policy, subject).scope).toBe(scope);
  });

  test("a path without a tag has to satisfy what stands there for tags as well", () => {
    const policy = policyWith({ oci: ["/images/os:v1", "/images", "/images/os:v2", "/images/osx:v3"] });
    const at = (path: string, tag: string) => requirementsFor(policy, { kind: "path", transport: "oci", path, tag });
    expect(at("/images/os", "v1").requirements).toHaveLength(2);
    expect(at("/images/os", "v7").requirements).toHaveLength(3);
    expect(at("/images/os", "").requirements).toHaveLength(2 + 4 + 3);
    expect(at("/images/os", "").scope).toBe("oci /images, and what it has for tags there");
    expect(at("/images/x", "").requirements).toHaveLength(3);
    const other = policyWith({ oci: ["/images/os:v1"] });
    const found = requirementsFor(other, { kind: "path", transport: "oci", path: "/images/os", tag: "" });
    expect(found).toMatchObject({ scope: "default, and what it has for tags there" });
    expect(found.requirements).toHaveLength(3);
  });

  test("inherits nothing from wider scopes", () => {
    const policy = policyWith({ docker: ["quay.io/os", "quay.io"] });
    expect(requirementsFor(policy, registry("quay.io/os:v1")).requirements).toHaveLength(2);
  });
});
