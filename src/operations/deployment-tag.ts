/** The tag that keeps the image of a deployment; bootc's composefs backend gives it the same, so that its gc keeps it too. */
export function deploymentTag(manifestDigest: string): string {
  return `localhost/bootc-${manifestDigest}`;
}

/** Whether a tag is one that {@link deploymentTag} makes. */
export function isDeploymentTag(tag: string): boolean {
  return tag.startsWith("localhost/bootc-sha");
}
