/**
 * The bound of a message to a caller. gRPC clients refuse messages above 4 MiB by default, and then all of the work for
 * them is lost. Each method keeps its answers below; here lies the net for what none of them foresaw.
 */

import type { ServerMethodDefinition, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { HoneError } from '../../src/errors.js';

/** Most bytes of one message to a caller. */
export const maxAnswerBytes = 4 * 1024 * 1024;

/** The same service; a message that is encoded already is sent as it is. */
export function takesEncodedAnswers<Definition extends ServiceDefinition<UntypedServiceImplementation>>(
  service: Definition,
): Definition {
  const methods = Object.entries(service).map(([name, method]) => [
    name,
    {
      ...method,
      responseSerialize: (answer: unknown) => (Buffer.isBuffer(answer) ? answer : method.responseSerialize(answer)),
    },
  ]);
  return Object.fromEntries(methods) as Definition;
}

/**
 * The bytes of a message to a caller.
 * @throws HoneError `ANSWER_TOO_LARGE`
 */
export function encodeAnswer(
  { path, responseSerialize }: ServerMethodDefinition<unknown, unknown>,
  answer: unknown,
): Buffer {
  const bytes = responseSerialize(answer);
  if (bytes.length <= maxAnswerBytes) return bytes;
  throw new HoneError(
    'ANSWER_TOO_LARGE',
    `the answer of ${path} takes ${bytes.length} bytes, and clients of gRPC take ${maxAnswerBytes} at most: ask for less at a time, or read generations with ExportReplay, which streams them`,
  );
}

/** The newest of a list that is ordered by time, oldest first. */
export function newest<Item>(items: readonly Item[], count: number): readonly Item[] {
  return items.slice(Math.max(0, items.length - count));
}
