// `npm test`: prepares the clone, runs the lint, then the tests. Arguments go to vitest: `npm test -- swap -t "the oldest"`.

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepare } from './prepare.mjs';
import { root, runNode } from './project.mjs';

await prepare('test');
const packages = join(root, 'node_modules');
for (const [linter, args] of [
  ['@biomejs/biome/bin/biome', ['ci', '.']],
  ['@bufbuild/buf/bin/buf', ['lint']],
]) {
  const code = await runNode(join(packages, linter), args);
  if (code !== 0) process.exit(code);
}
// In this process, not in a child: signals and exit codes need no forwarding.
const vitest = join(packages, 'vitest/vitest.mjs');
process.argv = [process.execPath, vitest, 'run', ...process.argv.slice(2)];
await import(pathToFileURL(vitest).href);
