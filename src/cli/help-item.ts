import { Help, type HelpConfiguration } from "commander";

/** Columns that a text needs to stand beside what it explains. */
const besideColumns = 40;
const indent = "  ";
const indentBelow = "      ";

/** How help is wrapped: where the terminal has no room for two columns, each text stands below what it explains. */
export const helpItem: HelpConfiguration = {
  minWidthToWrap: 10,
  formatItem(this: Help, term, termWidth, description, helper) {
    const columns = this.helpWidth ?? 80;
    if (description === "" || columns - termWidth - 2 * indent.length >= besideColumns) {
      return Help.prototype.formatItem.call(this, term, termWidth, description, helper);
    }
    const text = helper.boxWrap(description, columns - indentBelow.length).replaceAll("\n", `\n${indentBelow}`);
    return `${indent}${term}\n${indentBelow}${text}`;
  },
};
