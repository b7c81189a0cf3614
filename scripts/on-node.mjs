// Makes sure that a script of this folder runs on a Node that Hone supports.
//
// If the running Node is too old, a newer one is installed (nodes.mjs) and runs the same script. The old one stays as
// its parent: it passes signals on, ends as the child ends, and holds one end of a pipe. The pipe closes when the parent
// ends, even by kill -9, and then the child ends too.

import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { delimiter, dirname } from 'node:path';
import neededNodes from '../cli/needed-node.cjs';
import { install } from './install.mjs';
import { bringNode } from './nodes.mjs';
import { fail } from './project.mjs';

const { isSupported, neededNode } = neededNodes;
const pipeVariable = 'HONE_PARENT_PIPE';
/** Time that the child has to end by itself after its parent has ended. Then it is killed. */
const lastMs = 30_000;

/**
 * Resolves if this Node is supported. Otherwise never: a newer Node runs the script, and this process ends with it.
 * @param packages the packages that the script needs (see install.mjs); they are installed during the download of Node
 */
export async function onSupportedNode(packages) {
  const isChild = followParent();
  if (isSupported(process.versions.node)) return;
  if (isChild)
    fail(`scripts/nodes.mjs installs Node ${process.versions.node}, but package.json requires ${neededNode}`);
  const reason = `this is Node ${process.versions.node}, Hone needs ${neededNode}: `;
  let binary;
  try {
    [binary] = await Promise.all([bringNode('main', reason), install(packages)]);
  } catch (error) {
    fail(`${error.message}. ${remedy}`);
  }
  if (binary === undefined) {
    fail(`${reason}the project cannot install one for ${process.platform} on ${process.arch}. ${remedy}`);
  }
  await becomeParentOf(binary);
}

const remedy = `Install ${neededNode} from https://nodejs.org and run the command again.`;

/** Runs the command of this process with another Node. The promise never resolves. */
function becomeParentOf(binary) {
  const child = spawn(binary, process.argv.slice(1), {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, PATH: pathWith(binary), [pipeVariable]: '3' },
  });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const pass = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, pass);
  child.once('error', (error) => fail(`${binary} cannot be started: ${error.message}. ${remedy}`));
  child.once('exit', (code, signal) => {
    for (const name of signals) process.removeListener(name, pass);
    if (signal === null) process.exit(code ?? 1);
    // Ends by the same signal as the child, so that the caller sees that signal. The timer covers signals that are ignored.
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(128 + constants.signals[signal]), 1000);
  });
  return new Promise(() => {});
}

/** @returns a PATH in which this Node comes first, so that programs started by name, such as npx, run on it too */
export function pathWith(binary) {
  return `${dirname(binary)}${delimiter}${process.env.PATH ?? ''}`;
}

/** If an older Node started this process, ends the process when that parent ends. @returns whether one did */
function followParent() {
  const descriptor = process.env[pipeVariable];
  if (descriptor === undefined) return false;
  // The processes that this one starts must not follow the same pipe.
  delete process.env[pipeVariable];
  const pipe = new Socket({ fd: Number(descriptor), readable: true, writable: false });
  const end = () => {
    // SIGTERM, as if the parent had passed it on: a server finishes its requests first.
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), lastMs).unref();
  };
  pipe.once('close', end).on('error', () => undefined);
  pipe.resume();
  pipe.unref();
  return true;
}
