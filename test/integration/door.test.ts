/** The properties of all calls (version in the metadata, token, health, reflection), and start and stop of the server. */

import { writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ServiceName, serviceNames } from '../../proto/contract.js';
import { temporaryFolder } from '../support/folders.js';
import { childOf } from '../support/processes.js';
import { RawClient } from '../support/raw-client.js';
import { olderReflectionService, reflectionService } from '../support/reflection.js';
import { runServer, startServer, type TestServer } from '../support/server.js';
import { until } from '../support/until.js';

const token = 'a-long-enough-token';
const authorization = `Bearer ${token}`;

describe('every call', () => {
  let server: TestServer;
  let raw: RawClient;
  beforeAll(async () => {
    server = await startServer({ env: { HONE_AUTH_TOKEN: token } });
    raw = new RawClient(server.ready.address);
  });
  afterAll(async () => {
    raw.close();
    await server[Symbol.asyncDispose]();
  });

  const calls: [ServiceName, string, object, number][] = [
    ['GenerationService', 'Generate', { prompt: 'a', sampling: { maxTokens: 1 } }, status.OK],
    ['GenerationService', 'StreamGenerate', { prompt: 'a', sampling: { maxTokens: 1 } }, status.OK],
    ['GenerationService', 'Generate', { prompt: '' }, status.INVALID_ARGUMENT],
    ['GenerationService', 'StreamGenerate', { n: 0 }, status.INVALID_ARGUMENT],
    ['GenerationService', 'GetGeneration', { generationId: 'x' }, status.INVALID_ARGUMENT],
    ['FeedbackService', 'SubmitFeedback', { items: [] }, status.INVALID_ARGUMENT],
    ['LearnerService', 'GetLearnerStatus', {}, status.OK],
    ['VersionService', 'ListVersions', {}, status.OK],
    ['VersionService', 'GetVersion', { number: 5 }, status.NOT_FOUND],
    ['StatusService', 'GetServerStatus', {}, status.OK],
    ['EventService', 'WatchEvents', { afterSequence: 999_999 }, status.NOT_FOUND],
    ['AdminService', 'Rollback', { number: 5 }, status.NOT_FOUND],
    ['AdminService', 'PauseLearner', {}, status.FAILED_PRECONDITION],
  ];

  it.each(calls)('of %s.%s with %j reports the live version and its digest', async (service, method, request, code) => {
    const headers = { authorization, 'x-request-id': 'request-1' };
    const result = await raw.call(service, method, request, { headers });
    expect(result.status.code).toBe(code);
    expect(result.metadata.get('hone-version')).toEqual(['0']);
    expect(String(result.metadata.get('hone-adapter-digest')[0])).toMatch(/^[0-9a-f]{64}$/);
    expect(String(result.metadata.get('hone-package-digest')[0])).toMatch(/^[0-9a-f]{64}$/);
    expect(result.metadata.get('x-request-id')).toEqual(['request-1']);
  });

  it.each(calls)('of %s.%s without the token is refused', async (service, method, request) => {
    for (const headers of [{}, { authorization: 'Bearer wrong' }, { authorization: token }]) {
      const result = await raw.call(service, method, request, { headers: headers as Record<string, string> });
      expect(result.status.code).toBe(status.UNAUTHENTICATED);
      expect(result.messages).toEqual([]);
    }
  });

  it('to health needs no token, and also reports the live version', async () => {
    for (const service of ['', ...serviceNames.map((name) => `hone.v1.${name}`)]) {
      const result = await raw.callMethod(healthService, 'Check', { service });
      expect(result.messages).toEqual([{ status: 'SERVING' }]);
      expect(result.metadata.get('hone-version')).toEqual(['0']);
    }
  });

  it('to health reports an unknown service, and lists the known ones', async () => {
    const unknown = await raw.callMethod(healthService, 'Check', { service: 'a\uD800'.repeat(9000) });
    expect(unknown.status.code).toBe(status.NOT_FOUND);
    const options = { onMessage: () => false };
    const watched = await raw.callMethod(healthService, 'Watch', { service: 'hone.v1.Nothing' }, options);
    expect(watched.messages).toEqual([{ status: 'SERVICE_UNKNOWN' }]);
    const { messages } = await raw.callMethod(healthService, 'List', {});
    const [{ statuses = {} } = {}] = messages as { statuses?: Record<string, unknown> }[];
    expect(Object.keys(statuses).sort()).toEqual(['', ...serviceNames.map((name) => `hone.v1.${name}`)].sort());
    expect(new Set(Object.values(statuses).map((one) => JSON.stringify(one)))).toEqual(
      new Set(['{"status":"SERVING"}']),
    );
  });

  it('to a method that does not exist is UNIMPLEMENTED', async () => {
    const base = healthService.Check as { path: string };
    const service = { Nothing: { ...base, path: '/hone.v1.GenerationService/Nothing' } } as never;
    const result = await raw.callMethod(service, 'Nothing', { service: '' }, { headers: { authorization } });
    expect(result.status.code).toBe(status.UNIMPLEMENTED);
  });

  it('is refused if its message is too large', async () => {
    const result = await raw.call(
      'GenerationService',
      'Generate',
      { prompt: 'a'.repeat(5 << 20) },
      { headers: { authorization } },
    );
    expect(result.status.code).toBe(status.RESOURCE_EXHAUSTED);
  });

  it('works through the client library with the token', async () => {
    const client = await server.connect({ token });
    expect((await client.generate({ prompt: 'a', maxTokens: 1 })).version).toBe(0);
    const stranger = await server.connect();
    await expect(stranger.status()).rejects.toMatchObject({ code: 'UNAUTHENTICATED', status: 'UNAUTHENTICATED' });
  });

  it('leaves no word of a prompt or completion in the log', async () => {
    await raw.call('GenerationService', 'Generate', { prompt: 'xylophone secret' }, { headers: { authorization } });
    expect(server.log()).not.toContain('xylophone');
  });
});

describe('the server', () => {
  it('keeps its data directory private, and writes its address and process id into it', async () => {
    await using server = await startServer();
    const { data, address } = server.ready;
    expect((await stat(data)).mode & 0o777).toBe(0o700);
    expect((await stat(join(data, 'server.json'))).mode & 0o777).toBe(0o600);
    expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it('refuses a data directory that another server uses, and accepts it when that server has stopped', async () => {
    await using first = await startServer();
    const { data } = first.ready;
    const refused = await runServer({ data });
    expect(refused.code).toBe(78);
    expect(refused.output).toContain('DATA_DIRECTORY_LOCKED');
    expect(refused.output).toContain(String(first.ready.pid));
    expect(await first.stop()).toBe(0);
    await using second = await startServer({ data });
    expect(second.ready.version).toBe(0);
  });

  it('refuses an open address without a token, and a folder without a model', async () => {
    const open = await runServer({ args: ['--host', '0.0.0.0'] });
    expect(open.code).toBe(78);
    expect(open.output).toContain('--insecure');
    const empty = await runServer({ args: ['--package', '/'] });
    expect(empty.code).toBe(78);
    expect(empty.output).toContain('PACKAGE_INVALID');
  });

  it('notifies health watchers when it is stopped, finishes running requests and exits with 0', async () => {
    await using server = await startServer();
    const client = await server.connect();
    const raw = new RawClient(server.ready.address);
    const seen: unknown[] = [];
    const watching = raw.callMethod(
      healthService,
      'Watch',
      { service: '' },
      {
        onMessage: ({ status: said }) => {
          seen.push(said);
          return true;
        },
      },
    );
    await until(() => seen.length > 0, 'the watcher has its first status');
    let finished = false;
    let stopping: Promise<number | null> | undefined;
    for await (const event of client.stream({ prompt: 'a', maxTokens: 200, ignoreEos: true, n: 32 })) {
      if (event.type === 'chunk' && stopping === undefined) {
        // Closing the client must not cut the stream.
        stopping = new Promise((resolve) => server.process.once('exit', resolve));
        server.process.kill('SIGTERM');
      }
      if (event.type === 'usage') finished = true;
    }
    expect(finished).toBe(true);
    expect(await stopping).toBe(0);
    await watching;
    expect(seen).toEqual(['SERVING', 'NOT_SERVING']);
    raw.close();
  });

  it('describes its services to gRPC tools, unless reflection is off', async () => {
    for (const [args, code] of [
      [[], status.OK],
      [['--no-reflection'], status.UNIMPLEMENTED],
    ] as const) {
      await using server = await startServer({ args });
      const raw = new RawClient(server.ready.address);
      const result = await raw.callMethod(reflectionService, 'ServerReflectionInfo', { listServices: '*' });
      expect(result.status.code).toBe(code);
      const text = JSON.stringify(result.messages);
      if (code === status.OK) for (const name of serviceNames) expect(text).toContain(`hone.v1.${name}`);
      raw.close();
    }
  });

  it('describes messages and services by symbol in both versions of reflection, and refuses an empty request', async () => {
    await using server = await startServer();
    const raw = new RawClient(server.ready.address);
    for (const service of [reflectionService, olderReflectionService]) {
      const symbol = 'hone.v1.GenerationService';
      const request = { fileContainingSymbol: symbol };
      const { messages, status: ended } = await raw.callMethod(service, 'ServerReflectionInfo', request);
      expect(ended.code).toBe(status.OK);
      const [message] = messages as unknown as { fileDescriptorResponse: { fileDescriptorProto: Buffer[] } }[];
      const described = Buffer.concat(message?.fileDescriptorResponse.fileDescriptorProto ?? []).toString();
      for (const name of ['GenerationService', 'StreamGenerate', 'GenerateRequest']) expect(described).toContain(name);
      const unknown = await raw.callMethod(service, 'ServerReflectionInfo', { fileContainingSymbol: 'no.Such' });
      expect(unknown.messages).toMatchObject([{ errorResponse: { errorCode: status.NOT_FOUND } }]);
      const left = await raw.callMethod(service, 'ServerReflectionInfo', request, { onMessage: () => false });
      expect(left.status.code).toBe(status.CANCELLED);
      const method = { ...service.ServerReflectionInfo, requestSerialize: () => Buffer.from([0x0a, 0xff]) };
      const refused = await raw.callMethod({ method }, 'method', {});
      expect(refused.status.code).toBe(status.INVALID_ARGUMENT);
    }
    expect(await (await server.connect()).health()).toBe('serving');
    raw.close();
  });

  it('ends the processes that it has started if it is stopped during its start', async () => {
    const module = join(temporaryFolder(), 'never.mjs');
    // This reward function never becomes ready.
    writeFileSync(module, 'await new Promise(() => setInterval(() => {}, 1000));');
    const args = ['--learner', 'on', '--reward-function', module];
    const stopped = await runServer({
      args,
      onSpawn: (child) => {
        const { pid = 0 } = child;
        childOf(pid).then(() => child.kill('SIGTERM'));
      },
    });
    expect(stopped.code).toBe(0);
    expect(stopped.output).toContain('stopping');
  });

  it('ends when its parent ends', async () => {
    await using server = await startServer();
    const exited = new Promise((resolve) => server.process.once('exit', resolve));
    server.process.disconnect();
    expect(await exited).toBe(0);
  });
});
