import { assert } from "../errors.ts";

/**
 * The element `index` of `list`, which has that many.
 *
 * @throws Error (a bug of osdeploy) when it has not.
 */
export function element<T>(list: ArrayLike<T>, index: number): T {
  const value = list[index];
  assert(value !== undefined, "an index comes from the list that it is used on");
  return value;
}
