/** The trained weights are the weights that serve: learner, files and worker compute the same digest, and every API reports it. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { expect, it } from 'vitest';
import type { ServiceName } from '../../proto/contract.js';
import { digestAdapter, readAdapter } from '../../src/versions/index.js';
import { eagerLearner, playUntil } from '../support/app.js';
import { Page } from '../support/prometheus.js';
import { RawClient } from '../support/raw-client.js';
import { startServer } from '../support/server.js';

it('the digest of a learned version is the same in its files, the served tensors, every call, health and the metrics', async () => {
  await using server = await startServer({ args: eagerLearner });
  const client = await server.connect();
  await playUntil(client, 1);
  await client.pauseLearner();
  const { live, lastSwap } = await client.status();
  const { number, adapterDigest: digest, packageDigest } = live;
  expect(digest).not.toBe((await client.version(0)).adapterDigest);

  // These digests come from the learner's record, from the files on disk, from the version log and from the worker.
  const versions = join(server.ready.data, 'versions');
  const directory = join(versions, String(number).padStart(6, '0'));
  expect(JSON.parse(await readFile(join(directory, 'version.json'), 'utf8'))).toMatchObject({ adapterDigest: digest });
  expect(digestAdapter((await readAdapter(directory)).adapter)).toBe(digest);
  expect(await readFile(join(versions, 'log.jsonl'), 'utf8')).toContain(
    `"number":${number},"adapterDigest":"${digest}"`,
  );
  expect(lastSwap).toMatchObject({ version: number, adapterDigest: digest, probeVerdict: 'proved' });

  const raw = new RawClient(server.ready.address);
  const identity = [String(number), digest, packageDigest];
  const said = (metadata: { get(key: string): unknown[] }): unknown[] =>
    ['hone-version', 'hone-adapter-digest', 'hone-package-digest'].flatMap((key) => metadata.get(key));
  const sampling = { maxTokens: 2 };
  const calls: [ServiceName, string, object, number][] = [
    ['GenerationService', 'Generate', { prompt: 'a', sampling }, status.OK],
    ['GenerationService', 'StreamGenerate', { prompt: 'a', sampling }, status.OK],
    ['GenerationService', 'Generate', { prompt: '' }, status.INVALID_ARGUMENT],
    ['FeedbackService', 'SubmitFeedback', { items: [] }, status.INVALID_ARGUMENT],
    ['LearnerService', 'GetLearnerStatus', {}, status.OK],
    ['VersionService', 'ListVersions', {}, status.OK],
    ['VersionService', 'ExportVersion', { number }, status.OK],
    ['StatusService', 'GetServerStatus', {}, status.OK],
    ['AdminService', 'Rollback', { number: 99_999 }, status.NOT_FOUND],
  ];
  for (const [service, method, request, code] of calls) {
    const { metadata, status: ended } = await raw.call(service, method, request);
    expect(ended.code, `${service}.${method}`).toBe(code);
    expect(said(metadata), `${service}.${method}`).toEqual(identity);
  }
  expect(said((await raw.callMethod(healthService, 'Check', { service: '' })).metadata)).toEqual(identity);
  const watched = await raw.callMethod(healthService, 'Watch', { service: '' }, { onMessage: () => false });
  expect(said(watched.metadata)).toEqual(identity);
  raw.close();

  const generated = await client.generate({ prompt: 'a', maxTokens: 2 });
  expect(generated).toMatchObject({ version: number, adapterDigest: digest, packageDigest });
  const stored = await client.getGeneration(generated.completions[0]?.generationId ?? '');
  expect(stored).toMatchObject({ version: number, adapterDigest: digest, packageDigest });

  const page = new Page(await (await fetch(server.ready.metrics ?? '')).text());
  const labels = { version: String(number), adapter_digest: digest, package_digest: packageDigest };
  expect(page.get('hone_version_info', labels)).toBe(1);
  expect(page.families.get('hone_version_info')?.samples).toHaveLength(1);

  const exported = await client.exportVersion(number);
  expect(JSON.parse(Buffer.from(exported['version.json'] ?? []).toString())).toMatchObject({ adapterDigest: digest });
});
