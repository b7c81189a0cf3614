/** A program finds the types of the client with each way in which the compiler resolves packages. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../support/folders.js';
import { projectFolder } from '../../support/server.js';

const program = `
import { connect, edit, HoneClientError, prefer, type GenerateResult, type ServerStatus } from 'hone-agent/client';
import { connect as connectByName } from 'hone-agent';

await using hone = await connect({ address: '127.0.0.1:50051' });
const answer: GenerateResult = await hone.generate({ prompt: 'a' });
const [first] = answer.completions;
if (first === undefined) throw new Error(String(connectByName));
for await (const event of hone.stream({ prompt: 'a' })) if (event.type === 'chunk') console.log(event.text);
const { status } = await hone.feedbackStream().send({ generationId: first.generationId, score: 1 });
await hone.feedback([prefer('a', 'b'), edit('a', status, 1)]).catch((error: unknown) => {
  if (error instanceof HoneClientError) console.log(error.violations[0]?.field);
});
const server: ServerStatus = await hone.status();
console.log(server);
`;

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(projectFolder, join(folder, 'node_modules/hone-agent'), 'junction');
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
});

/** Compiles a program with the strictest settings, and checks the declarations of all packages. @returns the errors */
function compile(text: string, module: string, resolution: string): string {
  writeFileSync(join(folder, 'program.ts'), text);
  const typeRoots = join(projectFolder, 'node_modules/@types');
  const found = ['--module', module, '--moduleResolution', resolution, '--typeRoots', typeRoots, '--types', 'node'];
  const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--skipLibCheck', 'false'];
  const args = [
    ...found,
    ...strict,
    '--noEmit',
    '--target',
    'es2022',
    '--lib',
    'es2023,esnext.disposable',
    'program.ts',
  ];
  const compiler = join(projectFolder, 'node_modules/typescript/bin/tsc');
  return spawnSync(process.execPath, [compiler, ...args], { cwd: folder, encoding: 'utf8' }).stdout;
}

describe.each([
  ['node16', 'node16'],
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
])('with module %s and resolution %s', (module, resolution) => {
  it('a program with right types compiles, and one with wrong types does not', () => {
    expect(compile(program, module, resolution)).toBe('');
    const wrong = compile(program.replace("prompt: 'a'", 'prompt: 1'), module, resolution);
    expect(wrong).toContain("Type 'number' is not assignable to type 'string'");
  });
});
