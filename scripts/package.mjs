// `npm run package`: compiles everything and packs hone-agent into a .tgz file for `npm install` and `npm publish`.
// Arguments go to `npm pack`. Use this instead of `npm pack`, which would pack the last build: .npmrc turns scripts off.

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepare } from './prepare.mjs';
import { fail, root, runNpm } from './project.mjs';

/**
 * Copies the files of the package into an empty folder. The clone must be compiled. It leaves out source maps,
 * declarations that the client's declarations do not import, modules that hold types only, and the entries of
 * package.json that only a clone needs.
 */
export function stagePackage(folder) {
  const list = ['pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'];
  const npm = process.env.npm_execpath?.endsWith('npm-cli.js') ? [process.execPath, process.env.npm_execpath] : ['npm'];
  const [{ files }] = JSON.parse(execFileSync(npm[0], [...npm.slice(1), ...list], { cwd: root, encoding: 'utf8' }));
  const declared = declarationsOf('dist/client/index.d.ts');
  for (const { path } of files) {
    if (path.endsWith('.map') || (path.endsWith('.d.ts') && !declared.has(path))) continue;
    mkdirSync(join(folder, dirname(path)), { recursive: true });
    if (path === 'package.json') {
      const { workspaces, devDependencies, scripts, ...manifest } = JSON.parse(readFileSync(join(root, path), 'utf8'));
      const packed = { ...manifest, scripts: { preinstall: scripts.preinstall } };
      writeFileSync(join(folder, path), `${JSON.stringify(packed, null, 2)}\n`);
    } else if (/^dist\/.*\.js$/.test(path)) {
      const code = readFileSync(join(root, path), 'utf8').replace(/^\/\/# sourceMappingURL=.*\n?/m, '');
      if (!holdsOnlyTypes(code)) writeFileSync(join(folder, path), code);
    } else {
      cpSync(join(root, path), join(folder, path));
    }
  }
}

/** Whether the compiled module is empty except for comments and `export {}`. */
function holdsOnlyTypes(code) {
  return code.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '').trim() === 'export {};';
}

/** @returns a file of declarations and all that it imports, directly or indirectly */
function declarationsOf(entry) {
  const found = new Set([entry]);
  for (const path of found) {
    const text = readFileSync(join(root, path), 'utf8');
    const imported = [...text.matchAll(/ from '(\.[^']+)\.js'/g)].map(([, name]) => name);
    for (const name of imported) found.add(posix.join(posix.dirname(path), `${name}.d.ts`));
  }
  return found;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await prepare('test');
  const folder = join(root, '.build/package');
  rmSync(folder, { recursive: true, force: true });
  stagePackage(folder);
  const code = await runNpm(['pack', folder, ...process.argv.slice(2)]);
  if (code !== 0) fail('npm could not pack the folder .build/package; it reports the reason above.');
}
