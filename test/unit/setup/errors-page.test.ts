/** docs/errors.md lists exactly the codes of src/errors.ts, each with the status that the server answers with. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { errorCodes as clientCodes } from '../../../client/error-codes.js';
import { toCode } from '../../../server/errors.js';
import { type ErrorKind, errorCodes } from '../../../src/errors.js';

const root = dirname(createRequire(import.meta.url).resolve('hone-agent/package.json'));

it('the page on errors lists every code, in order, with its status, its meaning and what to do', () => {
  const page = readFileSync(join(root, 'docs/errors.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| `([A-Z_]+)` \| .{10,} \| .{7,} \|$/gm)];
  const listed = rows.map(([, code, grpcStatus]) => [code, grpcStatus]);
  const expected = Object.entries(errorCodes).map(([code, kind]) => [code, status[toCode(kind as ErrorKind)]]);
  expect(listed).toEqual(expected);
});

it('the client knows every code of the server, in client/error-codes.ts', () => {
  expect(clientCodes).toEqual(Object.keys(errorCodes));
});
