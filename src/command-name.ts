/** How a person calls the `hone` command. The command and the server print it, for people to copy. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * The words in front of a subcommand, by the place of the program: `npm run hone --` in a clone, `npx hone-agent` if a
 * project has installed it, `hone` if it is installed for the whole machine. Never `npx hone`, because that is another
 * package on npm.
 */
export function commandName(file = fileURLToPath(import.meta.url)): string {
  const [, project] = /^(.*?)[\\/]node_modules[\\/]/.exec(file) ?? [];
  if (project === undefined) return 'npm run hone --';
  return existsSync(`${project}/package.json`) ? 'npx hone-agent' : 'hone';
}
