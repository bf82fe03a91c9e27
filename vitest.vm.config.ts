import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const { OSDEPLOY_VM_RUN = `${process.pid}-${Date.now()}` } = process.env;

/** What takes minutes, the longest first: what begins last would be alone at the end. */
const longest = ["power-cut", "lifecycle", "way-back", "damage", "limits", "lab", "verity"];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = longest.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return at === -1 ? longest.length : at;
    };
    return [...files].sort((one, other) => rank(one) - rank(other));
  }
}

/** The tests on virtual machines: `npm run test:vm`. Two test files at once, each with one machine of one processor. */
export default defineConfig({
  test: {
    include: ["test/vm/**/*.test.ts"],
    testTimeout: 1_800_000,
    hookTimeout: 1_000_000,
    maxWorkers: 2,
    maxConcurrency: 1,
    sequence: { sequencer: LongestFirst },
    // what several test files use is made once a run; who gives a name goes on with that run
    env: { OSDEPLOY_VM_RUN },
  },
});
