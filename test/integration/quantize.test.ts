/** `hone quantize` as a process, and the real server on the packages that it wrote: serving, scores, a round, a swap. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { eagerLearner, playUntil } from '../support/app.js';
import { hone } from '../support/command.js';
import { temporaryFolder } from '../support/folders.js';
import { projectFolder, startServer, tinyPackage } from '../support/server.js';

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
});

describe('hone quantize', () => {
  it('writes a package and prints how size, loss and logits changed', async () => {
    const output = join(folder, 'person');
    const { code, out, err } = await hone('', 'quantize', tinyPackage, '--output', output);
    expect(code, err).toBe(0);
    expect(out).toContain(output);
    expect(out).toMatch(/loss, nats per token +\d+\.\d{4} +\d+\.\d{4} \([+-]\d/);
    expect(out).toContain('64 held-out posts of the default policy');
    const written = ['config.json', 'hone_quantization.json', 'onnx', 'tokenizer.json', 'tokenizer_config.json'];
    expect(readdirSync(output)).toEqual(expect.arrayContaining(written));
  });

  it('prints the same as one line of JSON, measured on the texts of the user', async () => {
    const text = join(folder, 'text.jsonl');
    const documents = [{ text: 'one two three' }, { prompt: 'who?', completion: 'me' }];
    writeFileSync(text, documents.map((one) => `${JSON.stringify(one)}\n`).join('\n'));
    const output = join(folder, 'script');
    const flags = ['--bits', '4', '--block-size', '16', '--no-head', '--text', text, '--json'];
    const { code, out, err } = await hone('', 'quantize', tinyPackage, '--output', output, ...flags);
    expect(code, err).toBe(0);
    const report = JSON.parse(out) as Record<string, object> & { source: { bytes: number }; output: { bytes: number } };
    expect(report).toMatchObject({ bits: 4, blockSize: 16, head: false, weights: 14 });
    // The document has 12 predictions, the answer has two, and its end has one.
    expect(report.comparison).toMatchObject({ tokens: 15 });
    expect(report.text).toContain(text);
    expect(report.output.bytes).toBeLessThan(report.source.bytes);
    expect(JSON.parse(readFileSync(join(output, 'hone_quantization.json'), 'utf8'))).toMatchObject({ bits: 4 });
  });

  it('refuses with the file, the reason and the remedy, and writes nothing', async () => {
    const quantized = join(folder, 'person');
    const output = join(folder, 'refused');
    const text = join(folder, 'bad.jsonl');
    writeFileSync(text, '{"text": "fine"}\n{"txt": "not"}\n');
    const cases: [code: number, says: string[], args: string[]][] = [
      [1, ['already quantised', 'float32'], [quantized, '--output', output]],
      [2, ['there is no folder', 'owner/name'], [join(folder, 'nothing'), '--output', output]],
      [2, [quantized, 'exists', '--force'], [tinyPackage, '--output', quantized]],
      [2, ['contains the other'], [tinyPackage, '--output', join(tinyPackage, 'inside')]],
      [2, ['was not written by'], [tinyPackage, '--output', folder, '--force']],
      [2, ['8 or 4'], [tinyPackage, '--output', output, '--bits', '5']],
      [2, ['--output'], [tinyPackage]],
      [2, [`${text}, line 2`, '"text"'], [tinyPackage, '--output', output, '--text', text]],
      [2, ['cannot read'], [tinyPackage, '--output', output, '--text', join(folder, 'none.txt')]],
    ];
    for (const [expected, says, args] of cases) {
      const { code, out, err } = await hone('', 'quantize', ...args);
      expect(code, args.join(' ')).toBe(expected);
      expect(out).toBe('');
      for (const part of says) expect(err).toContain(part);
    }
    expect(existsSync(output)).toBe(false);
    expect(existsSync(join(tinyPackage, 'inside'))).toBe(false);
    const { err } = await hone('', 'quantize', quantized, '--output', output, '--json');
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'PACKAGE_INVALID' } });
  });

  it('replaces a folder that it wrote earlier with --force', async () => {
    const output = join(folder, 'person');
    const { code, out, err } = await hone('', 'quantize', tinyPackage, '--output', output, '--bits', '4', '--force');
    expect(code, err).toBe(0);
    expect(out).toContain('int4');
  });
});

describe.each([8, 4])('the server on the default policy at %i bits', (bits) => {
  it('serves, accepts scores, learns a round, and swaps in the version, as the probe proves', async () => {
    const output = join(folder, `tldr-${bits}`);
    const source = join(projectFolder, 'models/tldr');
    const quantized = await hone('', 'quantize', source, '--output', output, '--bits', String(bits), '--json');
    expect(quantized.code, quantized.err).toBe(0);
    const { comparison } = JSON.parse(quantized.out) as { comparison: { loss: { before: number; after: number } } };
    expect(Math.abs(comparison.loss.after - comparison.loss.before)).toBeLessThan(bits === 8 ? 0.001 : 0.01);

    // The gate is off, because its verdict on a few random steps does not matter here.
    await using server = await startServer({ args: ['--package', output, ...eagerLearner, '--gate', 'off'] });
    const client = await server.connect();
    const live = await playUntil(client, 1);
    expect(live).toMatchObject({ origin: 'learned', state: 'live' });
    for await (const { type, version, numbers } of client.watchEvents({ afterSequence: 0 })) {
      if (type !== 'version_promoted' || version !== 1) continue;
      expect(numbers.probe_to_new).toBeLessThan((numbers.probe_to_previous ?? 0) / 10);
      break;
    }
    const learner = await client.learnerStatus();
    expect(learner.steps).toBeGreaterThan(0);
    expect(learner.droppedSteps).toBe(0);
  });
});
