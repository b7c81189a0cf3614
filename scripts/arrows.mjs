// Checks which folder imports which. `npm run lint` runs it; `node scripts/arrows.mjs <folder>` checks another tree.
//
// It finds every way in which one file can name another: import and export, of types too, `import(...)`, `require(...)`
// and `new URL(..., import.meta.url)`. docs/architecture.md draws the same arrows.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseAst } from 'vite';
import { fail, root } from './project.mjs';

/** The rooms from which the files of a room may import, besides their own. A room covers the folders below it. */
export const arrows = {
  proto: [],
  // The files beside the folders of src.
  src: [],
  'src/process': ['src'],
  'src/sqlite': ['src'],
  'src/onnx': ['src'],
  'src/versions': ['src', 'src/process'],
  'src/hub': ['src', 'src/process', 'src/sqlite'],
  'src/autodiff': ['src', 'src/onnx'],
  'src/package': ['src', 'src/onnx'],
  'src/conversion': ['src', 'src/onnx', 'src/package'],
  'src/preparation': ['src', 'src/process', 'src/sqlite', 'src/hub', 'src/onnx', 'src/package', 'src/conversion'],
  'src/replay': ['src', 'src/process', 'src/sqlite'],
  'src/policy': ['src', 'src/process', 'src/onnx', 'src/package', 'src/versions'],
  'src/reward': ['src', 'src/process', 'src/onnx', 'src/package', 'src/replay'],
  'src/learner': [
    'src',
    'src/process',
    'src/sqlite',
    'src/onnx',
    'src/autodiff',
    'src/package',
    'src/versions',
    'src/replay',
    'src/reward',
  ],
  'src/proof': ['src', 'src/onnx', 'src/package', 'src/versions', 'src/policy', 'src/learner'],
  'src/gate': ['src', 'src/onnx', 'src/package', 'src/versions', 'src/policy', 'src/replay', 'src/reward'],
  'src/agent': ['src/*'],
  server: ['proto', 'src/*'],
  client: ['proto'],
  models: ['proto', 'src/*'],
  cli: ['proto', 'client', 'server', 'src/*', 'models'],
  bench: ['proto', 'client', 'cli', 'server', 'src/*', 'models'],
  studies: ['bench', 'src/*', 'models'],
  examples: ['client'],
  test: ['*'],
};

/** The packages that only some rooms may load, with those rooms. */
export const packages = {
  '@grpc/grpc-js': ['proto', 'server', 'client', 'bench', 'test'],
  'onnxruntime-node': [
    'src/onnx',
    'src/package',
    'src/policy',
    'src/reward',
    'src/learner',
    'src/proof',
    'models',
    'bench',
    'test',
  ],
  'node:sqlite': ['src/sqlite', 'test'],
};

/**
 * A room is imported through its index.ts. Code, but not types, may also be imported from these files of it, so that a
 * small process, or a server that is starting, does not load the whole room.
 */
export const sideDoors = {
  client: ['errors', 'requests'],
  'src/agent': [
    'erasure',
    'events/event-journal',
    'events/event-log',
    'generation/exploration',
    'rollout/canary-settings',
    'rollout/modes',
  ],
  'src/conversion': ['numbers/needs-conversion'],
  'src/gate': ['settings'],
  'src/learner': [
    'engine/check-trainable',
    'engine/tfjs/native-addon',
    'experience/eligibility',
    'experience/misfit',
    'process/status',
    'process/supervisor',
    'settings',
  ],
  'src/package': [
    'encoding/text-encoding',
    'load',
    'lowering',
    'normalize',
    'quantization/decoded-weights',
    'quantization/products',
    'token-decoder',
    'trainable-linears',
  ],
  'src/replay': ['store'],
  'src/reward': ['fold', 'process/index', 'range', 'settings'],
  'src/versions': ['adapter'],
};

const rooms = Object.keys(arrows).sort((a, b) => b.length - a.length);

/** The room of a file, by its path from the root. */
function roomOf(path) {
  return rooms.find((room) => path.startsWith(`${room}/`) && (room !== 'src' || !path.slice(4).includes('/')));
}

function isAllowed(from, to) {
  return (
    from === to || arrows[from].some((one) => one === to || one === '*' || (one === 'src/*' && to.startsWith('src')))
  );
}

/** @returns one line for each import in the tree that breaks a rule */
export function lintArrows(folder) {
  return Object.keys(arrows)
    .filter((room) => !room.includes('/') && existsSync(join(folder, room)))
    .flatMap((room) => sourcesOf(join(folder, room)))
    .flatMap((file) => complaintsOf(folder, file));
}

function complaintsOf(folder, file) {
  const path = relative(folder, file);
  const from = roomOf(path);
  if (from === undefined) return [`${path}: its folder is not in the table of scripts/arrows.mjs; add it there`];
  return namedIn(file).flatMap((named) => complaint(folder, path, from, named) ?? []);
}

function complaint(folder, path, from, { name, isType }) {
  if (!name.startsWith('.')) {
    const owners = packages[name];
    return owners === undefined || owners.includes(from)
      ? undefined
      : `${path}: only ${owners.join(', ')} may load ${name}`;
  }
  const target = relative(folder, join(folder, dirname(path), name)).replace(/\.js$/, '.ts');
  const to = roomOf(target);
  // The target is not a module of the project, but a manifest or a fixture.
  if (to === undefined || !target.endsWith('.ts')) return undefined;
  if (!isAllowed(from, to))
    return `${path}: ${from} may not import ${to} (${target}); docs/architecture.md shows which imports are allowed`;
  const door = `${to}/index.ts`;
  if (from === to || from === 'test' || target === door || !existsSync(join(folder, door))) return undefined;
  const inner = target.slice(to.length + 1, -'.ts'.length);
  if (!isType && sideDoors[to]?.includes(inner)) return undefined;
  return `${path}: ${target} is inside ${to}; import ${door} instead`;
}

function sourcesOf(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return ['generated', 'node_modules'].includes(entry.name) ? [] : sourcesOf(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}

/** @returns each module that a file names, and whether the file only takes types from it */
function namedIn(file) {
  const found = [];
  const visit = (node) => {
    if (node === null || typeof node !== 'object') return;
    if (Array.isArray(node)) return node.forEach(visit);
    const isCall = node.type === 'NewExpression' ? node.callee.name === 'URL' : node.callee?.name === 'require';
    const source = isCall ? node.arguments[0] : node.source;
    if (typeof source?.value === 'string') found.push({ name: source.value, isType: isType(node) });
    for (const value of Object.values(node)) visit(value);
  };
  visit(parseAst(readFileSync(file, 'utf8'), { lang: 'ts' }).body);
  return found;
}

function isType({ type, importKind, exportKind, specifiers = [] }) {
  if (type === 'TSImportType' || importKind === 'type' || exportKind === 'type') return true;
  return specifiers.length > 0 && specifiers.every((one) => one.importKind === 'type' || one.exportKind === 'type');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const complaints = lintArrows(resolve(process.argv[2] ?? root));
  for (const line of complaints) process.stderr.write(`${line}\n`);
  if (complaints.length > 0) fail(`${complaints.length} imports break the rules listed above.`);
}
