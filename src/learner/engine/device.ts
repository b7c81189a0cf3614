/**
 * Execution providers of onnxruntime on this machine: which there are, how a session opens, what to do if one is
 * missing.
 */

import { type InferenceSession, listSupportedBackends } from 'onnxruntime-node';
import { HoneError } from '../../errors.js';
import { createSession, type Graph } from '../../onnx/index.js';
import { type Device, type Provider, providers } from './names.js';
import { fitToProvider } from './provider-graph.js';

/** What each provider needs: the end of every error message about it. */
const needs: Readonly<Record<Provider, string>> = {
  cpu: 'onnxruntime-node has it on every platform',
  webgpu:
    'webgpu needs a GPU and its driver: Vulkan on Linux x64 (`vulkaninfo --summary` lists what it finds), Direct3D 12 on Windows, Metal on macOS',
  cuda: 'cuda needs Linux x64, an NVIDIA driver, CUDA 12, cuDNN 9, and binaries that Hone does not download by itself',
  coreml: 'coreml needs macOS',
  dml: 'dml needs Windows with Direct3D 12',
};

/** Providers in the form that the binding of onnxruntime 1.30 documents; the first adapter of the machine is taken. */
const configurations: Readonly<Record<Provider, InferenceSession.ExecutionProviderConfig>> = {
  cpu: 'cpu',
  webgpu: { name: 'webgpu' },
  cuda: { name: 'cuda', deviceId: 0 },
  // COREML_FLAG_CREATE_MLPROGRAM: the older format has hardly any operator of a decoder.
  coreml: { name: 'coreml', coreMlFlags: 0x010 },
  dml: { name: 'dml', deviceId: 0 },
};

/**
 * Providers that this build of onnxruntime contains, in the order of {@link providers}. They may still fail to open.
 */
export function offeredProviders(): Provider[] {
  const known = new Set(listSupportedBackends().map(({ name }) => name));
  return providers.filter((provider) => known.has(provider));
}

/** @throws HoneError `DEVICE_UNAVAILABLE` if this build of onnxruntime has no such provider */
export function checkOffered(device: Device): void {
  const offered = offeredProviders();
  if (device === 'auto' || offered.includes(device)) return;
  throw unavailable(device, `this build of onnxruntime has ${offered.join(', ')}`);
}

/**
 * Opens a session of a training graph on the provider.
 * @throws HoneError `DEVICE_UNAVAILABLE` if the provider does not open; `MODEL_INVALID` on the cpu
 */
export async function openOnProvider(graph: Graph, provider: Provider, threads: number): Promise<InferenceSession> {
  const options = { threads, prepack: false, providers: [configurations[provider]] };
  if (provider === 'cpu') return createSession(graph, options);
  checkOffered(provider);
  const fitted = await fitToProvider(graph, provider);
  return createSession(fitted, options).catch((cause: unknown) => {
    throw unavailable(provider, reasonOf(cause), cause);
  });
}

/** The message of onnxruntime without the place in its source and the condition that failed. */
function reasonOf(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return (message.split(' was false. ').at(-1) as string).replace(/^onnxruntime refuses the graph: /, '').trim();
}

/** The error for a provider that cannot be used: the reason, and what to do. */
export function unavailable(provider: Provider, reason: string, cause?: unknown): HoneError {
  return new HoneError(
    'DEVICE_UNAVAILABLE',
    `the learner cannot compute on ${provider}: ${reason}. ${needs[provider]} (docs/devices.md); --learner-device cpu works everywhere`,
    { cause },
  );
}
