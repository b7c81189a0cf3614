// `npm run package`: compiles everything and packs hone-agent into a .tgz file, which `npm install` and `npm publish` take.
// Arguments go to `npm pack`. `npm pack` alone would pack whatever was compiled last: no script runs by itself (.npmrc).

import { build } from './build.mjs';
import { prepare } from './prepare.mjs';
import { fail, runNpm } from './project.mjs';

await prepare('test');
await build('test', true);
const code = await runNpm(['pack', ...process.argv.slice(2)]);
if (code !== 0) fail('npm could not pack it: it says why above.');
