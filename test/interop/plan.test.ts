import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { parseRpmDatabase } from "../../src/core/packages/rpm-database.ts";
import { readSqliteTable } from "../../src/core/packages/sqlite-table.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { catImageFile } from "../../src/operations/cat-image-file.ts";
import { planSwitchImage } from "../../src/operations/plan-switch-image.ts";
import { switchImage } from "../../src/operations/switch.ts";
import { openssl, selfSigned } from "../builders/certificates.ts";
import { linuxAmd64, systemOn } from "../builders/operation-machine.ts";
import { FaultProxy } from "../fakes/fault-proxy.ts";
import { hasDockerRegistry, startDockerRegistry } from "../tools/docker-registry.ts";
import { findOsImage, findTool, isRoot } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const osImage = findOsImage();
const dpkgQuery = findTool("dpkg-query");
// Older ones write tables of contents without a tar-split.
const skopeo = findTool("new-skopeo");
const [rpm, sqlite, gpg] = ["rpm", "sqlite3", "gpg"].map(findTool);
const scratch = mkdtempSync(join(tmpdir(), "osdeploy-plan-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function missing(): string | undefined {
  if (!isRoot) return "it takes root";
  if (osImage === undefined) return "it was not built: sh images/build.sh";
  return hasDockerRegistry && skopeo !== undefined && openssl !== undefined && dpkgQuery !== undefined
    ? undefined
    : "docker-registry, a new skopeo, openssl or dpkg-query is missing";
}
const reason = missing();

describe.skipIf(reason !== undefined)(`the real OS image, chunked${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("an upgrade from a real registry is what was planned, to the byte and the package", {
    timeout: 900_000,
  }, async () => {
    const tls = selfSigned();
    const registry = await startDockerRegistry(join(scratch, "registry"), { tls });
    const proxy = await FaultProxy.start(registry.host, tls);
    const system = systemOn(openLinux());
    const source = { environment: { variables: {}, userId: 0 }, tlsVerify: false };
    const sysroot = join(scratch, "sysroot");
    mkdirSync(sysroot);
    const reference = (tag: string) => parseImageReference(`docker://${proxy.host}/os:${tag}`);
    const request = { sysroot: fromText(sysroot), platform: linuxAmd64, source };
    const deploy = (tag: string) => switchImage(system, { ...request, image: reference(tag), kernelArguments: [] });
    try {
      for (const tag of ["v1", "v2"]) {
        const words = ["--quiet", "--dest-tls-verify=false", "--dest-force-compress-format"];
        const compression = ["--dest-compress-format", "zstd:chunked", "--dest-compress-level", "1"];
        const places = [`oci:${osImage}:${tag}`, `docker://${registry.host}/os:${tag}`];
        const ended = run(String(skopeo), ["--insecure-policy", "copy", ...words, ...compression, ...places]);
        expect(ended).toMatchObject({ status: 0 });
      }
      await deploy("v1");
      const untouched = seen(sysroot);
      const { plan } = await planSwitchImage(system, { ...request, image: reference("v2") });
      expect(seen(sysroot)).toBe(untouched);
      if (plan === null || plan.packages.kind !== "known" || plan.newInodes === null)
        throw new Error(`It is not known: ${JSON.stringify(plan?.packages)}`);

      proxy.plan(undefined);
      const before = inodes(join(sysroot, "composefs"));
      const switched = await deploy("v2");
      if (switched.kind !== "deployed") throw new Error(`It was ${switched.kind}`);
      const { addedBytes, addedObjects } = switched.pulled;
      expect(addedObjects).toBe(plan.newObjects + plan.otherObjects);
      expect(Math.abs(addedBytes - plan.newBytes - Number(plan.otherBytes))).toBeLessThan(4096);
      expect(inodes(join(sysroot, "composefs")) - before).toBe(plan.newInodes);
      let sent = 0;
      for (const { digest, downloadBytes, sizeBytes } of plan.layers) {
        const bytes = proxy.sentBytes.get(digest) ?? 0;
        // A link that is slow to answer makes a whole layer the faster one.
        expect(bytes <= downloadBytes || bytes >= sizeBytes, `${bytes} of ${digest}`).toBe(true);
        sent += bytes;
      }
      expect(sent).toBeGreaterThanOrEqual(plan.leastDownloadBytes);

      const [old = [], now = []] = await Promise.all(
        ["v1", "v2"].map((tag) => installed(sysroot, `${proxy.host}/os:${tag}`, tag)),
      );
      const { added, removed, replaced } = plan.packages;
      const line = (name: string, architecture: string, version: string) => `${name} ${architecture} ${version}`;
      expect(
        [
          ...replaced.map((each) => line(each.name, each.architecture, each.before)),
          ...removed.map((each) => line(each.name, each.architecture, each.version)),
        ].sort(),
      ).toEqual(old.filter((each) => !now.includes(each)));
      expect(
        [
          ...replaced.map((each) => line(each.name, each.architecture, each.after)),
          ...added.map((each) => line(each.name, each.architecture, each.version)),
        ].sort(),
      ).toEqual(now.filter((each) => !old.includes(each)));
      expect(added.length + replaced.length).toBeGreaterThan(0);
    } finally {
      await proxy.stop();
      await registry.stop();
    }
  });

  /** What dpkg-query says of the packages in a deployed image. */
  async function installed(sysroot: string, image: string, tag: string): Promise<readonly string[]> {
    const pieces: Uint8Array[] = [];
    const system = systemOn(openLinux());
    const repo = fromText(`${sysroot}/composefs`);
    const { manifestDigest } = await planSwitchImage(system, {
      ...{ image: parseImageReference(`docker://${image}`), sysroot: fromText(sysroot), platform: linuxAmd64 },
      source: { environment: { variables: {}, userId: 0 }, tlsVerify: false },
    });
    await catImageFile(system, {
      ...{ repo, image: manifestDigest, bootable: false, path: fromText("/var/lib/dpkg/status") },
      write: async (bytes) => void pieces.push(Uint8Array.from(bytes)),
    });
    const directory = join(scratch, `dpkg-${tag}`);
    mkdirSync(directory);
    writeFileSync(join(directory, "status"), Buffer.concat(pieces));
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is dpkg-query's own format
    const format = "${Package} ${Architecture} ${Version}\n";
    const ended = run(String(dpkgQuery), [`--admindir=${directory}`, "-W", "-f", format]);
    expect(ended).toMatchObject({ status: 0 });
    return ended.stdout.trim().split("\n").sort();
  }
});

/** All of a directory but when it was last read. */
function seen(directory: string): string {
  const ended = run("find", [directory, "-printf", "%P %y %m %U %G %n %s %T@ %C@ %i %l\\n"]);
  expect(ended).toMatchObject({ status: 0 });
  return ended.stdout.split("\n").sort().join("\n");
}

function inodes(directory: string): number {
  return run("find", [directory, "-printf", "."]).stdout.length;
}

const noRpm = rpm === undefined || sqlite === undefined || gpg === undefined;

test.skipIf(noRpm)("rpm's own database is read as rpm reads it", { timeout: 60_000 }, () => {
  const home = join(scratch, "gnupg");
  const database = join(scratch, "rpm");
  mkdirSync(home, { mode: 0o700 });
  for (let number = 0; number < 12; number++) {
    const name = `Key ${number} <${number}@example.org>`;
    const words = ["--homedir", home, "--batch", "--quiet"];
    expect(
      run(String(gpg), [...words, "--passphrase", "", "--quick-generate-key", name, "ed25519", "sign", "never"]).status,
    ).toBe(0);
    const key = join(scratch, `key-${number}.asc`);
    writeFileSync(key, run(String(gpg), [...words, "--armor", "--export", `=${name}`]).stdout);
    // It keeps each key as a package of its own.
    expect(run(String(rpm), ["--dbpath", database, "--define", "_db_backend sqlite", "--import", key])).toMatchObject({
      status: 0,
    });
  }
  const packages = run(String(rpm), ["--dbpath", database, "-qa", "--queryformat", "%{NAME} %{VERSION}-%{RELEASE}\n"]);
  run(String(sqlite), [join(database, "rpmdb.sqlite"), "pragma wal_checkpoint(truncate)"]);
  const read = parseRpmDatabase(openLinux().files.readFile(fromText(join(database, "rpmdb.sqlite")), 1e8));
  expect(read.map(({ name, version }) => `${name} ${version}`).sort()).toEqual(
    packages.stdout.trim().split("\n").sort(),
  );
  expect(read).toHaveLength(12);
});

test.skipIf(sqlite === undefined)("tables of SQLite are read as sqlite3 reads them", { timeout: 60_000 }, () => {
  for (const pageBytes of [512, 4096, 65_536]) {
    const database = join(scratch, `rows-${pageBytes}.sqlite`);
    const script = `
      pragma page_size = ${pageBytes};
      create table Fill (a);
      create table Packages (n integer primary key, blob blob);
      with recursive i(n) as (select 1 union all select n + 1 from i where n < 3000)
        insert into Packages select n * 7, randomblob(n % 90 * n % 4000) from i;
      delete from Packages where n % 5 = 0;`;
    expect(run(String(sqlite), [database], script)).toMatchObject({ status: 0 });
    const wanted = run(String(sqlite), [database, "select lower(hex(blob)) from Packages order by n"]).stdout.split(
      "\n",
    );
    const rows = readSqliteTable(openLinux().files.readFile(fromText(database), 1e9), "Packages") ?? [];
    const found = rows.map((row) => Buffer.from(row[1]?.bytes ?? []).toString("hex"));
    expect(found).toEqual(wanted.slice(0, -1));
    expect(found).toHaveLength(2400);
  }
});
