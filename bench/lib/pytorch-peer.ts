/** PyTorch as a peer of the learner: a virtual environment, installed at the first use, and a process in it. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { isExternal, readModel } from '../../src/onnx/index.js';
import { say } from './progress.js';
import { projectRoot } from './project.js';
import type { Learner } from './train-in-child.js';
import { batchOf, type TrainingTask } from './training-batch.js';

const folder = join(tmpdir(), 'hone-bench', 'pytorch');
const python = process.platform === 'win32' ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python');
/** This file is written after everything else is installed. */
const ready = join(folder, 'ready');

/** Installs the environment unless it exists. Returns false, with a message, if that fails. */
export async function installPyTorch(): Promise<boolean> {
  if (existsSync(ready)) return true;
  say('installing PyTorch, transformers and peft into a throw-away environment (once; some 1.2 GB) ...');
  await mkdir(folder, { recursive: true });
  const made =
    (await succeeds('python3', ['-m', 'venv', folder])) &&
    (await succeeds(python, ['-m', 'pip', 'install', '--quiet', 'torch', 'transformers', 'peft']));
  if (made) await writeFile(ready, '');
  else say('PyTorch could not be installed, for the reason above. It is left out.');
  return made;
}

async function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  const child = spawn(command, args, { stdio: ['ignore', 2, 2] });
  const [code] = (await Promise.race([once(child, 'exit'), once(child, 'error').then(() => [1])])) as [number | null];
  return code === 0;
}

/**
 * Starts PyTorch on the task, in which no two rows may share a prompt.
 * @param compile whether `torch.compile` compiles the forward and backward pass
 * @throws Error with the reason if PyTorch cannot run
 */
export async function openPyTorch(task: TrainingTask, compile: boolean): Promise<Learner> {
  const child = spawn(python, [join(projectRoot, 'bench/peers/pytorch_learn.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async <Reply>(message: object): Promise<Reply> => {
    child.stdin.write(`${JSON.stringify(message)}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error('PyTorch ended without an answer');
    const reply = JSON.parse(value) as Reply & { readonly type: string; readonly message?: string };
    if (reply.type === 'failed') throw new Error(reply.message);
    return reply;
  };
  const close = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.stdin.end();
    await exited;
  };
  const { packageDirectory: directory, rank, threads } = task;
  const started = performance.now();
  try {
    const weights = await weightsOf(directory);
    const message = { type: 'open', directory, weights, batch: batchOf(task), rank, scale: 2, threads, compile };
    const { about } = await ask<{ readonly about: string }>(message);
    const prepareMs = performance.now() - started;
    return { about, prepareMs, check: () => ask({ type: 'check' }), step: () => ask({ type: 'step' }), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Name, dimensions, file, offset and length of each weight. */
async function weightsOf(directory: string): Promise<(string | number | readonly number[])[][]> {
  const graph = await readModel(join(directory, 'onnx/model.onnx'));
  return [...graph.initializers].flatMap(([name, { dims, data }]) => {
    if (!name.endsWith('.weight')) return [];
    if (!isExternal(data)) throw new Error(`${name} lies inside the model file; the peer reads external data`);
    return [[name, dims, join(directory, 'onnx', data.location), data.offset, data.length]];
  });
}
