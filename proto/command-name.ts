/** How a person calls the `hone` command: what the command and the server print of it is meant to be copied. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * The words in front of a command's name, by where the program lies: `npm run hone --` in a clone, `npx hone-agent` where
 * a project has installed it, `hone` where it is installed for the whole machine. Never by npx under the command's own
 * name: on npm that is another package.
 */
export function commandName(file = fileURLToPath(import.meta.url)): string {
  const [, project] = /^(.*?)[\\/]node_modules[\\/]/.exec(file) ?? [];
  if (project === undefined) return 'npm run hone --';
  return existsSync(`${project}/package.json`) ? 'npx hone-agent' : 'hone';
}
