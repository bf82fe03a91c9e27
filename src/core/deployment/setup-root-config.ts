/** How the initramfs gives a deployment its /etc. */
export type EtcMount = "none" | "bind" | "overlay" | "transient";

const mounts: readonly EtcMount[] = ["none", "bind", "overlay", "transient"];

/**
 * What an image's `/usr/lib/composefs/setup-root-conf.toml` says of /etc; undefined where it says nothing, or nothing that is
 * known. Then it depends on the program in the initramfs: osdeploy's and bootc's mount a directory, composefs-rs's an overlay.
 *
 * @see docs/reference/formats/boot.md
 */
export function etcMount(config: string): EtcMount | undefined {
  let section = "";
  let mount: EtcMount | undefined;
  let isTransient = false;
  for (const text of config.split("\n")) {
    const line = text.replace(/#.*/, "").replace(/\s/g, "");
    section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
    if (section !== "etc") continue;
    const value = /^mount="(.*)"$/.exec(line)?.[1];
    mount = mounts.find((known) => known === value) ?? mount;
    isTransient ||= line === "transient=true";
  }
  return isTransient ? "transient" : mount;
}
