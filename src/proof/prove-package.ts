/**
 * Proves once that Hone computes from a package what onnxruntime computes from the file that it comes from. Nothing is
 * served before that, and nothing that differs.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { HoneError } from '../errors.js';
import type { LearnerSettings } from '../learner/index.js';
import type { Comparison, Proof, ProofReply, ProofTask } from './proof.js';

export interface ProveOptions {
  /** The package's folder. */
  readonly packageDirectory: string;
  /** The digest of the package. */
  readonly packageDigest: string;
  /** The ONNX file that tells what the model computes. */
  readonly modelFile: string;
  /** Settings of the learner; null if nothing is learned. */
  readonly settings: LearnerSettings | null;
  readonly threads: number;
  /** The folder of Hone's cache, where the outcome is kept. */
  readonly cacheDirectory: string;
  readonly signal: AbortSignal;
  /** Called if the proof is not in the cache. */
  readonly onStart?: () => void;
}

type Compared = Extract<Proof, { readonly outcome: 'differs' | 'equal' }>;

/** A change of what is compared changes this number. */
const proofVersion = 1;
/** Longest time of a proof, milliseconds. */
const limitMs = 600_000;
/** Characters kept of the child's standard error, from its beginning. */
const stderrKept = 500;

/**
 * Returns the proof, from the cache or made now.
 * @throws HoneError `PACKAGE_DIFFERS` with the figures if Hone computes something else; `CANCELLED`; the errors of
 * opening the package
 */
export async function provePackage(options: ProveOptions): Promise<Proof> {
  const path = recordPath(options, options.settings !== null);
  // A proof for learning compares serving too.
  const known = (await readRecord(recordPath(options, true))) ?? (await readRecord(path));
  if (known !== undefined) return known;
  options.onStart?.();
  const { packageDirectory, modelFile, settings, threads } = options;
  const proof = await prove({ packageDirectory, modelFile, settings, threads }, options.signal);
  if (proof.outcome === 'differs') throw differs(modelFile, proof);
  await writeRecord(path, proof);
  return proof;
}

function recordPath({ packageDigest, cacheDirectory }: ProveOptions, learns: boolean): string {
  const { resolve } = createRequire(import.meta.url);
  const versions = ['hone-agent', 'onnxruntime-node'].map((name) => {
    const file = resolve(`${name}/package.json`);
    return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
  });
  const key = JSON.stringify([proofVersion, versions, packageDigest, learns ? 'learning' : 'serving']);
  return join(cacheDirectory, 'proofs', `${createHash('sha256').update(key).digest('hex').slice(0, 32)}.json`);
}

async function readRecord(path: string): Promise<Proof | undefined> {
  try {
    const record = JSON.parse(await readFile(path, 'utf8')) as Proof;
    return record.outcome === 'equal' || record.outcome === 'unjudged' ? record : undefined;
  } catch {
    return undefined;
  }
}

/** A cache that cannot be written costs time at the next start and nothing else. */
async function writeRecord(path: string, proof: Proof): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const draft = `${path}.${process.pid}`;
    await writeFile(draft, `${JSON.stringify(proof)}\n`);
    await rename(draft, path);
  } catch {
    // The proof itself holds.
  }
}

async function prove(task: ProofTask, signal: AbortSignal): Promise<Proof> {
  const child = fork(new URL('./proof-process.js', import.meta.url), {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  child.send(task, () => undefined);
  try {
    return await proofOf(child, task);
  } catch (thrown) {
    if (signal.aborted) throw new HoneError('CANCELLED', 'the start was stopped during the proof of the package');
    throw thrown;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

function proofOf(child: ChildProcess, { modelFile }: ProofTask): Promise<Proof> {
  return new Promise((resolve, reject) => {
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(0, stderrKept);
    });
    child.once('message', (reply: ProofReply) => {
      if ('proof' in reply) resolve(reply.proof);
      else reject(HoneError.fromJSON(reply.failure));
    });
    child.once('error', (cause) => reject(unproved(modelFile, cause.message, cause)));
    // `close` comes after the last message: if there was a reply, the promise is settled and this rejection does
    // nothing.
    child.once('close', (code, signal) => {
      const said = stderr.trim() === '' ? '' : `: ${stderr.trim()}`;
      reject(unproved(modelFile, `the process that compares ended with ${signal ?? `code ${code}`}${said}`));
    });
  });
}

function unproved(modelFile: string, why: string, cause?: unknown): HoneError {
  const remedy = 'give the machine more memory, or take a smaller form of the model';
  return new HoneError('PACKAGE_INVALID', `${modelFile}: cannot be compared with itself: ${why}; ${remedy}`, { cause });
}

function differs(modelFile: string, { numbers, serving, learning }: Compared): HoneError {
  const figures = Object.entries({ numbers, serving, learning }).flatMap(([what, one]) =>
    one === null ? [] : [describe(what, one)],
  );
  return new HoneError(
    'PACKAGE_DIFFERS',
    `${modelFile}: Hone computes something else from this model than onnxruntime from the file itself: ${figures.join('; ')}. ` +
      'It is not served. Take another form of the model, or its checkpoint',
  );
}

function describe(what: string, { difference, tolerance, otherTokens, tokens }: Comparison): string {
  const others = otherTokens === 0 ? '' : `, and ${otherTokens} of ${tokens} tokens are followed by others`;
  return `${what}: ${difference.toPrecision(2)} nats, of which ${tolerance.toPrecision(2)} may be rounding${others}`;
}
