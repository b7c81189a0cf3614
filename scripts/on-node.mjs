// Runs a script of this folder on a Node that Hone supports, whatever Node started it.
//
// Where the running Node is too old, one is brought along (nodes.mjs) and the script is run once more with it. The old
// one stays as its parent: it passes signals on, ends as the child ends, and holds one end of a pipe. When the pipe
// closes, the parent is gone, also by kill -9, and the child ends too.

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
/** How long the child may take to end by itself once its parent is gone. */
const lastMs = 30_000;

/**
 * Resolves on a supported Node. On an older one it never does: there it runs the script again, on a Node of the
 * project's own, and the process ends as that one ends.
 * @param packages which packages the script needs: see install.mjs. They are installed meanwhile.
 */
export async function onSupportedNode(packages) {
  const isChild = followParent();
  if (isSupported(process.versions.node)) return;
  if (isChild)
    fail(`the project brings Node ${process.versions.node} along but needs ${neededNode}: see scripts/nodes.mjs`);
  const reason = `this is Node ${process.versions.node}, Hone needs ${neededNode}: `;
  let binary;
  try {
    [binary] = await Promise.all([bringNode('main', reason), install(packages)]);
  } catch (error) {
    fail(`${error.message}. ${remedy}`);
  }
  if (binary === undefined) {
    fail(`${reason}none can be brought along for ${process.platform} on ${process.arch}. ${remedy}`);
  }
  await becomeParentOf(binary);
}

const remedy = `Or install ${neededNode} from https://nodejs.org and run the command again.`;

/** Runs this very command with another Node; never resolves. */
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
    // Ends as the child did, so that whoever started this sees the signal. SIGKILL and the like cannot be told apart.
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(128 + constants.signals[signal]), 1000);
  });
  return new Promise(() => {});
}

/** With this Node before any other: what is started by its name, npx for one, runs on it, too. */
export function pathWith(binary) {
  return `${dirname(binary)}${delimiter}${process.env.PATH ?? ''}`;
}

/** In a child of an older Node: ends with it. Returns whether this is one. */
function followParent() {
  const descriptor = process.env[pipeVariable];
  if (descriptor === undefined) return false;
  // The processes that this one starts have other parents.
  delete process.env[pipeVariable];
  const pipe = new Socket({ fd: Number(descriptor), readable: true, writable: false });
  const end = () => {
    // As if the parent had passed a signal on: whoever has requests to end does that first.
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), lastMs).unref();
  };
  pipe.once('close', end).on('error', () => undefined);
  pipe.resume();
  pipe.unref();
  return true;
}
