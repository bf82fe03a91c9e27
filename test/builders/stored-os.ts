import type { FakeLinux } from "../fakes/fake-linux.ts";
import { type BuiltImage, buildImage } from "./oci-image.ts";
import { machineWithRepo, pullTag } from "./operation-machine.ts";
import { buildOsImage, content } from "./os-images.ts";

/** Two versions of a small system and something that does not boot, as a pull left them in the repo of a fake machine. */
export interface StoredOs {
  readonly linux: FakeLinux;
  readonly images: { readonly v1: BuiltImage; readonly v2: BuiltImage; readonly data: BuiltImage };
}

/** `v1` and `v2` are there to boot, `data` only to be looked at. */
export async function storeOs(options: { readonly verity?: boolean } = {}): Promise<StoredOs> {
  const images = {
    v1: await buildOsImage("v1"),
    v2: await buildOsImage("v2", [{ path: "usr/lib/new", content: content("new") }]),
    data: await buildImage({ layers: [[{ path: "usr" }, { path: "usr/data", content: content("data") }]] }),
  };
  const linux = await machineWithRepo(images, options);
  await pullTag(linux, "v1");
  await pullTag(linux, "v2");
  await pullTag(linux, "data", { bootable: false });
  return { linux, images };
}
