// Makes proto/generated (the contract as types and as a module) and dist (the compiled program).
//
//   node scripts/build.mjs             makes both, even if they are up to date
//   node scripts/build.mjs --generate  makes proto/generated only
//
// The generated types have numbers for 64-bit integers, because each one in the contract is a count, a sequence number
// or a time in milliseconds, far below 2^53. They have names for enums. proto/contract.ts uses the same options.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { install } from './install.mjs';
import { onSupportedNode } from './on-node.mjs';
import { fail, root, runNode, say } from './project.mjs';

/** `run` is the program without its tests. `test` adds the tests, which need more packages. */
const parts = {
  run: {
    config: 'tsconfig.run.json',
    folders: ['src', 'server', 'client', 'cli', 'models', 'proto', 'bench', 'studies', 'examples'],
  },
  test: {
    config: 'tsconfig.json',
    folders: ['src', 'server', 'client', 'cli', 'models', 'proto', 'bench', 'studies', 'examples', 'test'],
  },
};

/** @returns the accepted files below a folder, as paths from the project's root, sorted */
function listFiles(folder, accept) {
  const found = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory() && path !== 'proto/generated' && entry.name !== 'node_modules')
      found.push(...listFiles(path, accept));
    else if (accept.test(path)) found.push(path);
  }
  return found.sort();
}

/** @returns a digest of each source's name, size and modification time: any edit changes it, and no file is read */
function stampOfSources({ config, folders }) {
  const hash = createHash('sha256');
  const files = folders.flatMap((folder) => listFiles(folder, /\.(ts|proto|json)$/));
  for (const path of [...files, config, 'tsconfig.json', 'package.json', 'scripts/build.mjs']) {
    const { size, mtimeMs } = statSync(join(root, path));
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

/** Deletes proto/generated and makes it from the .proto files. */
export async function generate() {
  const generator = join(root, 'node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js');
  rmSync(join(root, 'proto/generated'), { recursive: true, force: true });
  const files = listFiles('proto', /\.proto$/).map((path) => path.slice('proto/'.length));
  const options = ['--longs=Number', '--enums=String', '--defaults', '--oneofs', '--includeComments'];
  const target = ['--grpcLib=@grpc/grpc-js', '--importFileExtension=.js', '-I', 'proto', '--outDir=proto/generated'];
  const code = await runNode(generator, [...options, ...target, ...files]);
  if (code !== 0) fail('the types of proto/ could not be generated: see above.');
  await compileContract(files);
}

/** Writes proto/generated/contract.ts: the contract and the standard health service, as JSON for proto-loader. */
async function compileContract(files) {
  const { default: protobuf } = await import('protobufjs');
  const folders = ['proto', 'node_modules/grpc-health-check/proto'].map((folder) => join(root, folder));
  const contract = new protobuf.Root();
  contract.resolvePath = (_, path) => folders.map((folder) => join(folder, path)).find(existsSync) ?? path;
  contract.loadSync([...files, 'health/v1/health.proto']);
  // The JSON is written as a string that is parsed, because its type in protobufjs lacks properties that the loader reads.
  const text = JSON.stringify(JSON.stringify(contract.toJSON()));
  const lines = [
    "import type { INamespace } from 'protobufjs';",
    `export const descriptor = JSON.parse(${text}) as INamespace;`,
  ];
  writeFileSync(join(root, 'proto/generated/contract.ts'), `${lines.join('\n')}\n`);
}

/** Generates and compiles, unless dist is up to date and `force` is false. Ends the process on an error. */
export async function build(part, force = false) {
  const { config } = parts[part];
  if (!force && isBuilt(part)) return;
  const started = Date.now();
  say('building ...');
  await generate();
  // The output of a source that was deleted must be neither run nor packed.
  rmSync(join(root, 'dist'), { recursive: true, force: true });
  const code = await runNode(join(root, 'node_modules/typescript/bin/tsc'), ['-p', config]);
  if (code !== 0) fail('the compiler found errors: see above.');
  for (const name of part === 'test' ? ['test', 'run'] : ['run']) {
    writeFileSync(stampPath(name), stampOfSources(parts[name]));
  }
  say(`built in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

function stampPath(part) {
  return join(root, `dist/.built-${part}`);
}

function isBuilt(part) {
  const path = stampPath(part);
  return existsSync(path) && readFileSync(path, 'utf8') === stampOfSources(parts[part]);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await onSupportedNode('test');
  await install('test');
  if (process.argv.includes('--generate')) await generate();
  else await build('test', true);
}
