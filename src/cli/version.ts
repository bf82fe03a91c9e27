/** The version of this osdeploy, as in `package.json`; a file of its own, so that `--version` loads nothing else. */
export const version = "0.1.0";
