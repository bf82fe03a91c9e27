// Assigns every path of an installed Debian tree to a layer, by the package that owns it.
//
//   find . -xdev -mindepth 1 -printf '%y%P\0' | node split-layers.mjs RULES DPKG_DIR OUT_DIR
//
// RULES holds lines `LAYER REGEX`; the first that matches a package's name decides. A package that none matches goes to
// `base` if it is essential, important, or needed by such a package, else to `system`. What no package owns goes to
// `state`. Writes OUT_DIR/N-LAYER.list, NUL-separated, sorted depth first, each parent directory before what is in it: readers
// of layers refuse an entry whose directory has none, and tar restores a directory's time when it comes to what is not in it.
// Paths are bytes (latin1 strings here); they are never decoded.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const GENERATED = "state";
/** Directories that are mount points on a running system: kept, without what lies in them now. */
const MOUNT_POINTS = new Set(["dev", "proc", "run", "sys", "tmp"]);

const [rulesFile, dpkgDir, outDir] = process.argv.slice(2);
if (outDir === undefined) throw new Error("usage: split-layers.mjs RULES DPKG_DIR OUT_DIR");
const rules = readRules(rulesFile);
const layerOfPath = ownersByPath(layersByPackage(readPackages(dpkgDir)));
writeLists(assign(readListing()));

function readRules(file) {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [layer, pattern] = line.split(/\s+/);
      return { layer, pattern: new RegExp(pattern) };
    });
}

/** dpkg's database: name to { core, needs }. */
function readPackages(dir) {
  const packages = new Map();
  for (const paragraph of readFileSync(join(dir, "status"), "utf8").split("\n\n")) {
    const fields = new Map(
      [...paragraph.matchAll(/^([A-Z][A-Za-z-]*): (.*)$/gm)].map(([, key, value]) => [key, value]),
    );
    if (!fields.has("Package")) continue;
    const needs = [fields.get("Depends"), fields.get("Pre-Depends")].filter(Boolean).join(",").split(",");
    packages.set(fields.get("Package"), {
      core: fields.get("Essential") === "yes" || ["required", "important"].includes(fields.get("Priority")),
      needs: needs.map((need) => need.trim().replace(/[ :(|].*/, "")),
    });
  }
  return packages;
}

function layersByPackage(packages) {
  const core = new Set();
  const todo = [...packages].filter(([, { core }]) => core).map(([name]) => name);
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    if (core.has(name) || !packages.has(name)) continue;
    core.add(name);
    todo.push(...packages.get(name).needs);
  }
  const layerOf = (name) => rules.find(({ pattern }) => pattern.test(name))?.layer;
  return new Map([...packages.keys()].map((name) => [name, layerOf(name) ?? (core.has(name) ? "base" : "system")]));
}

function ownersByPath(layers) {
  const owners = new Map();
  const lists = readdirSync(join(dpkgDir, "info")).filter((file) => file.endsWith(".list"));
  for (const file of lists.sort()) {
    const layer = layers.get(file.slice(0, -".list".length).replace(/:.*/, ""));
    for (const line of readFileSync(join(dpkgDir, "info", file), "latin1").split("\n")) {
      // packages may still name paths below the links /bin, /lib and /sbin
      const path = line.replace(/^\/+/, "").replace(/^(bin|sbin|lib|lib32|lib64)\//, "usr/$1/");
      if (path !== "" && layer !== undefined && !owners.has(path)) owners.set(path, layer);
    }
  }
  return owners;
}

function readListing() {
  const records = readFileSync(0, "latin1").split("\0");
  return records.filter((record) => record !== "").map((record) => ({ kind: record[0], path: record.slice(1) }));
}

function assign(listing) {
  const sets = new Map();
  const withChildren = new Set(listing.map(({ path }) => parentOf(path)));
  for (const { kind, path } of listing) {
    const top = path.split("/", 1)[0];
    if (MOUNT_POINTS.has(top) && path !== top) continue;
    if (kind === "d" && withChildren.has(path) && !MOUNT_POINTS.has(path)) continue;
    const layer = layerFor(path);
    if (!sets.has(layer)) sets.set(layer, new Set());
    for (let name = path; name !== ""; name = parentOf(name)) sets.get(layer).add(name);
  }
  return sets;
}

function layerFor(path) {
  if (path.startsWith("usr/lib/modules/")) return "kernel"; // the initramfs and the module index are generated
  if (path.startsWith("var/lib/dpkg/")) return GENERATED;
  return layerOfPath.get(path) ?? GENERATED;
}

function parentOf(path) {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

function writeLists(sets) {
  mkdirSync(outDir, { recursive: true });
  const order = ["base", ...new Set(rules.map(({ layer }) => layer)), "system", GENERATED];
  const names = [...new Set(order)].filter((layer) => sets.has(layer));
  for (const [index, layer] of names.entries()) {
    // latin1 strings sort as bytes; a slash before all others keeps what is in a directory right behind it
    const paths = [...sets.get(layer)].map((path) => path.replaceAll("/", "\0")).sort();
    writeFileSync(
      join(outDir, `${index + 1}-${layer}.list`),
      paths.map((path) => `${path.replaceAll("\0", "/")}\0`).join(""),
      "latin1",
    );
  }
}
