/** The real server on models in the forms in which people have them. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { eagerLearner, playUntil } from '../support/app.js';
import { temporaryFolder } from '../support/folders.js';
import { runServer, startServer, tinyPackage } from '../support/server.js';
import { writeTinyAt, writeTinyCheckpoint, writeTinyFloat16 } from '../support/tiny-forms.js';

/** The greedy answer of a server on a model. */
async function answerOf(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ text: string; log: string }> {
  await using server = await startServer({ args, env });
  const client = await server.connect();
  const { completions } = await client.generate({ prompt: 'once upon', maxTokens: 12, temperature: 0 });
  return { text: completions[0]?.text ?? '', log: server.log() };
}

const withCache = () => ({ HONE_CACHE: join(temporaryFolder(), 'cache') });

describe('a checkpoint', () => {
  it('answers as the export of the same model does, and is written once', async () => {
    const folder = temporaryFolder();
    await writeTinyCheckpoint(folder);
    const env = withCache();
    const expected = await answerOf(['--package', tinyPackage]);
    const first = await answerOf(['--package', folder], env);
    expect(first.text).toBe(expected.text);
    expect(first.log).toMatch(/the checkpoint is written with weights of 32 bits/);
    const second = await answerOf(['--package', folder], env);
    expect(second.text).toBe(expected.text);
    expect(second.log).not.toMatch(/is written/);
  });

  it('learns in 4 bits', async () => {
    const folder = temporaryFolder();
    await writeTinyCheckpoint(folder);
    await using server = await startServer({
      args: ['--package', folder, '--bits', '4', ...eagerLearner],
      env: withCache(),
    });
    const client = await server.connect();
    expect(await playUntil(client, 1)).toMatchObject({ origin: 'learned', state: 'live' });
  });
});

it('a model in float16 answers, and --model-file chooses it', async () => {
  const folder = temporaryFolder();
  await writeTinyFloat16(folder, 'onnx/model_fp16.onnx');
  const { text, log } = await answerOf(['--package', folder, '--model-file', 'onnx/model_fp16.onnx'], withCache());
  expect(text.length).toBeGreaterThan(0);
  expect(log).toMatch(/model_fp16\.onnx is served: asked for/);
});

it('a model in the root of its folder is linked', async () => {
  const folder = temporaryFolder();
  await writeTinyAt(folder, 'model.onnx');
  const env = withCache();
  expect((await answerOf(['--package', folder], env)).text).toBe((await answerOf(['--package', tinyPackage])).text);
  expect(existsSync(env.HONE_CACHE)).toBe(true);
});

it('a form that is not there ends the start with those that are', async () => {
  const folder = temporaryFolder();
  await writeTinyFloat16(folder, 'onnx/model_fp16.onnx');
  const { code, output } = await runServer({ args: ['--package', folder, '--model-file', 'onnx/model_q4.onnx'] });
  expect(code).not.toBe(0);
  expect(output).toMatch(/is not there.*There are: onnx\/model_fp16\.onnx \(.*INVALID_OPTIONS/s);
});
