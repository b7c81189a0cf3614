import { status } from '@grpc/grpc-js';
import type { MessageTypeDefinition } from '@grpc/proto-loader';
import { describe, expect, it } from 'vitest';
import { description as contract } from '../../../proto/description.js';
import { toCode, toStatus } from '../../../server/errors.js';
import { type ErrorCode, errorCodes, HoneError } from '../../../src/errors.js';

function decode(typeName: string, bytes: Buffer): Record<string, unknown> {
  return (contract[typeName] as MessageTypeDefinition<object, Record<string, unknown>>).deserialize(bytes);
}

function detailsOf(thrown: unknown): Map<string, Record<string, unknown>> {
  const [bytes] = toStatus(thrown).metadata.get('grpc-status-details-bin');
  const { details } = decode('google.rpc.Status', bytes as Buffer);
  return new Map(
    (details as { type_url: string; value: Buffer }[]).map(({ type_url, value }) => {
      const typeName = type_url.slice(type_url.lastIndexOf('/') + 1);
      return [typeName, decode(typeName, value)];
    }),
  );
}

describe('the gRPC status of an error', () => {
  it.each(Object.entries(errorCodes))('is neither OK nor UNKNOWN for %s', (code, kind) => {
    expect([status.OK, status.UNKNOWN]).not.toContain(toCode(kind));
    const details = detailsOf(new HoneError(code as ErrorCode, 'why'));
    expect(details.get('google.rpc.ErrorInfo')).toMatchObject({ reason: code, domain: 'hone' });
  });

  it('has details with the fields at fault and the time until a retry', () => {
    const violations = [{ field: 'sampling.top_p', description: 'must be above 0' }];
    const details = detailsOf(new HoneError('QUEUE_FULL', 'why', { violations, retryAfterMs: 1500 }));
    expect(details.get('google.rpc.BadRequest')).toMatchObject({ fieldViolations: violations });
    expect(details.get('google.rpc.RetryInfo')).toMatchObject({ retryDelay: { seconds: 1, nanos: 500_000_000 } });
  });

  it('is INTERNAL for an error that is no HoneError', () => {
    expect(toStatus(new TypeError('x is not a function')).code).toBe(status.INTERNAL);
    expect(detailsOf('text').get('google.rpc.ErrorInfo')).toMatchObject({ reason: 'INTERNAL' });
  });
});

it('stays below the limit of trailers, however long the message is', () => {
  const violations = Array.from({ length: 5000 }, () => ({ field: 'f'.repeat(5000), description: 'd'.repeat(5000) }));
  const { details, metadata } = toStatus(new HoneError('INVALID_REQUEST', 'w'.repeat(100_000), { violations }));
  const [binary] = metadata.get('grpc-status-details-bin') as [Buffer];
  expect(details.length + (binary.length * 4) / 3).toBeLessThan(8192);
});
