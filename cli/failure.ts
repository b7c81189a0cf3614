/** Turns an error into the exit code and the message of the command. */

import type { GrpcStatus, HoneClientError } from '../client/index.js';
import { commandName } from '../src/command-name.js';
import { installationFault } from '../src/installation.js';

/** Exit codes of the `hone` command. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  unavailable: 3,
  refused: 4,
  /** `hone demo` ran to its end, but the model is no better than before. */
  nothingLearned: 5,
  interrupted: 130,
} as const;

/** An error in the command line, such as a file that cannot be read or arguments that exclude each other. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The user interrupted the command with Ctrl-C. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

const codesByStatus: Partial<Record<GrpcStatus, number>> = {
  UNAVAILABLE: exitCodes.unavailable,
  DEADLINE_EXCEEDED: exitCodes.unavailable,
  RESOURCE_EXHAUSTED: exitCodes.unavailable,
  INVALID_ARGUMENT: exitCodes.refused,
  NOT_FOUND: exitCodes.refused,
  ALREADY_EXISTS: exitCodes.refused,
  FAILED_PRECONDITION: exitCodes.refused,
  UNAUTHENTICATED: exitCodes.refused,
  PERMISSION_DENIED: exitCodes.refused,
  OUT_OF_RANGE: exitCodes.refused,
  UNIMPLEMENTED: exitCodes.refused,
  CANCELLED: exitCodes.interrupted,
};

/** The exit codes of errors that are raised in the command's own process. */
const codesOfOwnErrors: Partial<Record<string, number>> = {
  INVALID_OPTIONS: exitCodes.usage,
  HUB_UNREACHABLE: exitCodes.unavailable,
  HUB_BUSY: exitCodes.unavailable,
  HUB_REFUSED: exitCodes.refused,
  HUB_NOT_FOUND: exitCodes.refused,
};

const hone = commandName();

const nextSteps: Partial<Record<string, string>> = {
  UNAVAILABLE: `Start a server with \`${hone} serve\`, or name one with --address or HONE_ADDRESS.`,
  DEADLINE_EXCEEDED: 'Allow more time with --timeout.',
  DRAINING: 'The server is stopping; try again when it is back.',
  QUEUE_FULL: 'The server is busy; try again in a moment.',
  UNAUTHENTICATED: 'Give the server\u2019s token with --token-file or HONE_TOKEN.',
  GENERATION_NOT_FOUND: `\`${hone} generate\` prints the id of each generation at its end.`,
  VERSION_NOT_FOUND: `\`${hone} versions\` lists all versions.`,
  LEARNER_OFF: 'Start the server with --learner on.',
};

/** The end of a command that failed. */
interface Failure {
  readonly exitCode: number;
  /** The error for programs, printed with `--json`. */
  readonly error: Record<string, unknown> & { readonly message: string };
  /** The lines for people. */
  readonly lines: readonly string[];
}

/** Describes any thrown value as the failure of the command. */
export function explain(thrown: unknown): Failure {
  if (thrown instanceof UsageError) return plain(exitCodes.usage, 'USAGE', thrown.message);
  const fault = installationFault(thrown);
  if (fault !== undefined) return plain(exitCodes.failed, 'INSTALLATION_DAMAGED', fault);
  if (thrown instanceof Interrupted) return plain(exitCodes.interrupted, 'CANCELLED', 'interrupted');
  if (isClientError(thrown)) {
    const fields = thrown.violations
      .filter(({ description }) => !thrown.message.includes(description))
      .map(({ field, description }) => `  ${field}: ${description}`);
    const next = nextSteps[thrown.code];
    const lines = [thrown.message, ...fields, ...(next === undefined ? [] : [next])];
    return {
      exitCode: codesByStatus[thrown.status] ?? exitCodes.failed,
      error: { ...thrown.toJSON(), message: lines.join('\n') },
      lines,
    };
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (!isHoneError(thrown)) return plain(exitCodes.failed, 'INTERNAL', message);
  return plain(codesOfOwnErrors[thrown.code] ?? exitCodes.failed, thrown.code, message);
}

function plain(exitCode: number, code: string, message: string): Failure {
  // A message may be followed by a table.
  return { exitCode, error: { code, message }, lines: message.split('\n') };
}

// Checks the name, because importing the class would load the gRPC library in commands that do not need it.
function isClientError(thrown: unknown): thrown is HoneClientError {
  return thrown instanceof Error && thrown.name === 'HoneClientError';
}

/** Whether the error comes from code that the command runs in its own process. */
function isHoneError(thrown: unknown): thrown is Error & { readonly code: string } {
  return thrown instanceof Error && thrown.name === 'HoneError' && 'code' in thrown;
}
