import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { projectDir } from "../tools/find-tool.ts";
import { type Ended, run } from "../tools/run-cli.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "osdeploy-boot-"));
  mkdirSync(join(root, "sysroot/state/deploy"), { recursive: true });
  mkdirSync(join(root, "efi"));
  put("console", "");
  putProgram("reboot", `echo >${root}/rebooted`);
  say("quiet osdeploy.entry=osdeploy-000012");
});
afterEach(() => rmSync(root, { recursive: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function putProgram(path: string, text: string): void {
  put(path, `#!/bin/sh\n${text}\n`);
  chmodSync(join(root, path), 0o755);
}

/** The kernel's arguments, those of a composefs root if nothing else is said. */
function say(words: string, root = "composefs=x"): void {
  put("cmdline", `${words} ${root}\n`);
}

/** As when systemd-boot counted this boot. */
function countBoot(variable = ""): void {
  put("efi/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", variable);
}

function start(program: string, ...words: readonly string[]): Ended & { readonly rebooted: boolean } {
  const places = ["--cmdline", "cmdline", "--kmsg", "console", "--efi-variables", "efi", "--reboot-program", "reboot"];
  const common = places.map((word, index) => (index % 2 === 0 ? word : join(root, word)));
  const ended = run("sh", [join(projectDir, "boot", program), ...common, ...words]);
  return { ...ended, rebooted: existsSync(join(root, "rebooted")) };
}

function recorded(): string | undefined {
  const file = join(root, "sysroot/state/osdeploy/boot-failures/osdeploy-000012");
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

describe("boot/health-check", () => {
  const check = () => start("health-check", "--root", root);

  test("passes when there are no checks", () => {
    expect(check()).toMatchObject({ status: 0, stdout: "", stderr: "" });
  });

  test("runs the checks of all directories, the wanted ones first, in the order of their names", () => {
    putProgram("usr/lib/osdeploy/health.d/required/20-b", "echo b");
    putProgram("etc/osdeploy/health.d/required/10-a", "echo a");
    putProgram("usr/lib/greenboot/check/required.d/30-c", "echo c");
    putProgram("etc/greenboot/check/wanted.d/90-w", "echo w");
    const { status, stdout } = check();
    expect(status).toBe(0);
    expect(stdout.split("\n").filter((line) => line.length === 1)).toEqual(["w", "a", "b", "c"]);
    expect(stdout).toContain("osdeploy: required health check 30-c passed");
  });

  test("a required check fails on a counted boot: all others still run, the reason is kept, the machine reboots", () => {
    countBoot();
    putProgram("usr/lib/osdeploy/health.d/required/10-database", "exit 3");
    putProgram("usr/lib/osdeploy/health.d/required/20-network", "exit 1");
    const { status, stderr, rebooted } = check();
    expect(status).toBe(1);
    expect(stderr).toContain("The required health check 10-database failed with status 3");
    expect(recorded()).toBe("Required health checks failed: 10-database 20-network\n");
    expect(rebooted).toBe(true);
  });

  test("a required check fails on a boot that GRUB counted: the machine reboots", () => {
    say("osdeploy.entry=osdeploy-000012 osdeploy.tries=0");
    put("boot/grub/grubenv", "osdeploy_tries_12=0\n");
    putProgram("usr/lib/osdeploy/health.d/required/sick", "exit 1");
    expect(check().rebooted).toBe(true);
  });

  test("a required check fails where GRUB could not write down that it took a try: a reboot would come back here", () => {
    say("osdeploy.entry=osdeploy-000012 osdeploy.tries=0");
    put("boot/grub/grubenv", "osdeploy_tries_12=1\n");
    putProgram("usr/lib/osdeploy/health.d/required/sick", "exit 1");
    expect(check()).toMatchObject({ status: 1, rebooted: false });
  });

  test("a directory among the checks is none", () => {
    put("usr/lib/osdeploy/health.d/required/notes/readme", "of the image\n");
    expect(check()).toMatchObject({ status: 0, rebooted: false });
  });

  test.skipIf(process.getuid?.() !== 0)(
    "the disk's root is read-only again after the reason is kept (skipped without root)",
    () => {
      putProgram("usr/lib/osdeploy/health.d/required/sick", "exit 1");
      const script = `mount --bind "$1/sysroot" "$1/sysroot" && mount -o remount,bind,ro "$1/sysroot" || exit 9
      sh "$2/boot/health-check" --root "$1" --cmdline "$1/cmdline" --kmsg "$1/console" --efi-variables "$1/efi"
      ! echo >"$1/sysroot/new"`;
      const words = ["--mount", "--propagation", "private", "sh", "-c", script, "sh", root, projectDir];
      expect(run("unshare", words).status).toBe(0);
      expect(recorded()).toBe("Required health checks failed: sick\n");
    },
  );

  test("a required check fails on a boot that is not counted: that is told, and no more", () => {
    putProgram("usr/lib/osdeploy/health.d/required/sick", "exit 1");
    const { status, stderr, rebooted } = check();
    expect({ status, rebooted }).toEqual({ status: 1, rebooted: false });
    expect(stderr).toContain("Not rebooting, because the loader does not count boots of osdeploy-000012");
    expect(readFileSync(join(root, "console"), "utf8")).toContain("<3>osdeploy: Required health checks failed: sick");
  });

  test("a wanted check fails: that is told, and the boot is good", () => {
    countBoot();
    putProgram("usr/lib/osdeploy/health.d/wanted/nice", "exit 1");
    expect(check()).toMatchObject({
      status: 0,
      rebooted: false,
      stderr: expect.stringContaining("wanted health check nice"),
    });
    expect(recorded()).toBeUndefined();
  });

  test("the administrator's check of the same name takes the place of the image's, and an empty file takes it away", () => {
    countBoot();
    putProgram("usr/lib/osdeploy/health.d/required/one", "exit 1");
    putProgram("etc/osdeploy/health.d/required/one", "echo mine");
    putProgram("usr/lib/osdeploy/health.d/required/two", "exit 1");
    put("etc/osdeploy/health.d/required/two", "");
    const { status, stdout } = check();
    expect(status).toBe(0);
    expect(stdout).toBe("mine\nosdeploy: required health check one passed\n");
  });
});

describe("boot/boot-deadline", () => {
  let places: readonly string[];
  beforeEach(() => {
    places = ["--physical-root", join(root, "sysroot"), "--boot", join(root, "boot")];
  });
  const uptime = () => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  /** At a time after the deadline: this program would wait for it. */
  const wait = (late: string) => {
    put("uptime", `${late} 0.00\n`);
    putProgram("systemctl", "exit 3");
    return start("boot-deadline", "--uptime", join(root, "uptime"), ...places, "--programs", root);
  };

  test("a counted boot that is late: keeps the reason and reboots", () => {
    countBoot();
    expect(wait("600.12")).toMatchObject({ status: 0, rebooted: true });
    expect(recorded()).toMatch(/^The boot was not complete after 600 seconds/);
  });

  test("osdeploy.deadline= sets the time, and what is left of it is waited for", () => {
    const deadline = Math.ceil(uptime()) + 1;
    say(`osdeploy.entry=osdeploy-000012 osdeploy.deadline=${deadline}`);
    countBoot();
    expect(start("boot-deadline", ...places, "--programs", root).rebooted).toBe(true);
    expect(uptime()).toBeGreaterThanOrEqual(deadline);
    expect(recorded()).toContain(`The boot was not complete after ${deadline} seconds`);
  });

  test.each([
    ["is complete", '[ "$1" = is-active ]'],
    ["is being shut down", "echo stopping; exit 1"],
  ])("a boot that %s before: is left alone soon", (_name, systemctl) => {
    putProgram("systemctl", systemctl);
    say(`osdeploy.entry=osdeploy-000012 osdeploy.deadline=${Math.ceil(uptime()) + 60}`);
    countBoot();
    const before = Date.now();
    expect(start("boot-deadline", ...places, "--programs", root).rebooted).toBe(false);
    expect(Date.now() - before).toBeLessThan(30_000);
  });

  test("a shutdown that it asks for: has more time than finalize-staged needs", () => {
    const read = (path: string) => readFileSync(join(projectDir, "boot", path), "utf8");
    const minutes = Number(/TimeoutStopSec=(\d+)min/.exec(read("systemd/osdeploy-finalize-staged.service"))?.[1]);
    expect(Number(/then sleep (\d+); fi/.exec(read("boot-deadline"))?.[1])).toBeGreaterThan(minutes * 60);
  });

  test.each([
    ["could write it down", "osdeploy_tries_12=1", true],
    ["could not write it down", "osdeploy_tries_12=2", false],
  ])("a boot that GRUB counted, and GRUB %s", (_name, environment, rebooted) => {
    say("osdeploy.entry=osdeploy-000012 osdeploy.tries=1");
    put("sysroot/boot/grub/grubenv", `${environment}\n`);
    expect(wait("600.00").rebooted).toBe(rebooted);
  });

  test("a boot that GRUB counted, before there is a disk that could be asked: reboots", () => {
    say("osdeploy.entry=osdeploy-000012 osdeploy.tries=1");
    rmSync(join(root, "sysroot"), { recursive: true });
    expect(wait("600.00").rebooted).toBe(true);
  });

  test.each([
    ["3", true],
    ["4", false],
    ["10", false],
  ])("systemd-boot did %s tries and none is left: reboots only after the last that it took", (done, rebooted) => {
    const path = `\\loader\\entries\\osdeploy-000012+0-${done}.conf\0`;
    countBoot(`\x06\0\0\0${Buffer.from(path, "utf16le").toString("latin1")}`);
    expect(wait("600.00").rebooted).toBe(rebooted);
  });

  test.each([
    ["that is not counted", "osdeploy.entry=osdeploy-000012", false],
    ["with osdeploy.deadline=0", "osdeploy.entry=osdeploy-000012 osdeploy.deadline=0", true],
  ])("a boot %s: has no deadline", (_name, words, counted) => {
    say(words);
    if (counted) countBoot();
    expect(wait("100000.00")).toMatchObject({ status: 0, rebooted: false, stderr: "" });
  });

  test.each([
    ["root=UUID=1 quiet", false],
    ["composefs.digest=v1-sha512-12:x", true],
  ])("a counted boot of %s: reboots if it is a composefs root", (words, rebooted) => {
    say("osdeploy.entry=osdeploy-000012", words);
    countBoot();
    expect(wait("600.00").rebooted).toBe(rebooted);
  });

  test("a counted boot whose arguments stand behind a quote that is left open: is named by the loader, and reboots", () => {
    say('rw dyndbg="file a osdeploy.entry=osdeploy-000003');
    countBoot(
      `\x06\0\0\0${Buffer.from("\\loader\\entries\\osdeploy-000012+2-1.conf\0", "utf16le").toString("latin1")}`,
    );
    expect(wait("600.00")).toMatchObject({ status: 0, rebooted: true });
    expect(recorded()).toMatch(/^The boot was not complete after 600 seconds/);
  });

  test.each([
    ["another program's entry", "fedora+2-1.conf", "composefs=x"],
    ["arguments without a root image", "osdeploy-000012+2-1.conf", "root=UUID=1"],
  ])("a counted boot of %s, behind a quote that is left open: is left alone", (_name, file, words) => {
    say('x="y', words);
    countBoot(Buffer.from(`\\loader\\entries\\${file}\0`, "utf16le").toString("latin1"));
    expect(wait("600.00")).toMatchObject({ status: 0, rebooted: false, stderr: "" });
  });

  test.each(["soon", "-1", "99999999999", ""])("osdeploy.deadline=%s: is told, and 600 seconds count", (value) => {
    say(`osdeploy.entry=osdeploy-000012 osdeploy.deadline=${value}`);
    countBoot();
    const { stderr, rebooted } = wait("600.00");
    expect(stderr).toContain(`Ignoring osdeploy.deadline=${value}: it is no number of seconds`);
    expect(rebooted).toBe(true);
  });

  test.each(["osdeploy-12x", "../../etc/passwd", "other-000012", "osdeploy-"])(
    "osdeploy.entry=%s is no entry of ours: nothing is kept under that name",
    (entry) => {
      say(`osdeploy.entry=${entry}`);
      countBoot();
      expect(wait("600.00").rebooted).toBe(true);
      expect(existsSync(join(root, "sysroot/state/osdeploy"))).toBe(false);
    },
  );
});

describe("the script of initramfs-tools, when the root cannot be set up", () => {
  const script = (panic: string) => {
    const text = readFileSync(join(projectDir, "boot/initramfs-tools/scripts/local-bottom/osdeploy"), "utf8");
    const moved = text.replace(
      /\/(scripts\/functions|usr\/lib\/osdeploy\/boot\/setup-root|proc\/cmdline)/g,
      `${root}/$1`,
    );
    put("script", moved);
    put("proc/cmdline", "quiet composefs=x\n");
    put("scripts/functions", "panic() { echo shell; }\n");
    putProgram("usr/lib/osdeploy/boot/setup-root", `[ -e ${root}/tried ] || { echo >${root}/tried; exit 1; }`);
    putProgram("sleep", "kill $PPID");
    return run("sh", ["-c", `rootmnt=/root panic=${panic} PATH=${root}:$PATH exec sh ${root}/script`]);
  };

  test("panic= forbids a shell: stands still, and does not reboot", () => {
    const { stdout, stderr, status } = script("30");
    expect({ stdout, succeeded: status === 0 }).toEqual({ stdout: "", succeeded: false });
    expect(stderr).toContain("osdeploy: this deployment cannot be booted");
  });

  test("there is a shell else, and who leaves it has another try", () => {
    expect(script("")).toMatchObject({ status: 0, stdout: "shell\n" });
  });
});
