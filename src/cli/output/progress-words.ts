import type { ProgressPhase, ProgressTask } from "../../operations/progress.ts";

/** What each task is called while it runs. */
export const taskWords: Readonly<Record<ProgressTask, string>> = {
  pull: "Pulling",
  push: "Pushing",
  copy: "Copying",
  switch: "Switching to",
  upgrade: "Upgrading to",
  check: "Checking",
  "collect-garbage": "Collecting garbage in",
  create: "Creating an image from",
  install: "Installing to",
};

/** What `phase` is called while it runs as a part of `task`. */
export function phaseWord(phase: ProgressPhase, task: ProgressTask | undefined): string {
  return ((task === "push" || task === "copy") && sendingWords[phase]) || phaseWords[phase];
}

const phaseWords: Readonly<Record<ProgressPhase, string>> = {
  resolve: "Resolving the image",
  layers: "Importing layers",
  "read-directory": "Reading the directory",
  sync: "Syncing to disk",
  publish: "Naming the objects",
  merge: "Merging the layers",
  "root-image": "Writing the root image",
  "boot-files": "Copying kernel and initramfs",
  deployment: "Preparing the deployment",
  seal: "Sealing the files",
  "write-disk": "Writing the disk",
  mark: "Marking what is in use",
  sweep: "Removing what is not in use",
  "check-objects": "Reading objects",
  "check-metadata": "Checking names, streams and root images",
};

/** Where nothing comes into a repo, and no object gets a name. */
const sendingWords: Readonly<Partial<Record<ProgressPhase, string>>> = {
  layers: "Copying layers",
  publish: "Setting the name",
};
