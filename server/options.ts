/** The server's settings: flags and environment -> checked -> complete. The environment is read here and nowhere else. */

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { checkExploration, type ExplorationSettings } from '../src/agent/generation/exploration.js';
import { type Mode, modes } from '../src/agent/rollout/modes.js';
import { checkGateSettings, type GateSettings } from '../src/gate/settings.js';
import type { PolicyOptions } from '../src/policy/index.js';
import type { RetentionSettings } from '../src/replay/index.js';
import { type GivenFlags, invalidOption, readFlags } from './flags.js';
import { type LogFormat, logFormats } from './log.js';
import { packageFolder } from './package-folder.js';

/** Flags that are settings of the learner, and what those are called there. */
const learnerFlags = {
  beta: 'beta',
  'learning-rate': 'learningRate',
  rank: 'rank',
  'scores-per-round': 'scoresPerRound',
  'max-staleness': 'maxStaleness',
  'learner-threads': 'threads',
  'learner-engine': 'engine',
  'learner-device': 'device',
} as const;

/** Port of the metrics unless another is asked for: where OpenTelemetry's exporters listen. */
export const defaultMetricsPort = 9464;

/** What of the policy's options is left to the user; what is absent takes the policy's default. */
export type PolicyLimits = Pick<
  PolicyOptions,
  | 'maxSequences'
  | 'maxQueue'
  | 'maxQueueTokens'
  | 'kvMemoryBytes'
  | 'prefillChunk'
  | 'prefixCacheBytes'
  | 'maxLiveVersions'
  | 'maxStalledMs'
>;

/** Where metrics are served. */
export interface MetricsOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Whether the port was asked for: a default that is taken is gone without. */
  readonly required: boolean;
  /** What a caller must send; `undefined`: nothing. */
  readonly authToken: string | undefined;
}

/** A reward model, a user's function, both or none. */
export interface RaterSources {
  /** Folder. */
  readonly model: string | undefined;
  /** Path of an ES module. */
  readonly module: string | undefined;
  /** For a batch; `undefined`: the default. */
  readonly timeoutMs: number | undefined;
}

/** Complete, contradictions refused. */
export interface ServerOptions {
  readonly dataDirectory: string;
  readonly packageDirectory: string;
  readonly host: string;
  readonly port: number;
  readonly authToken: string | undefined;
  /** Callers without a token may reach it from elsewhere. */
  readonly insecure: boolean;
  readonly learner: boolean;
  readonly reflection: boolean;
  /** `null`: no metrics. */
  readonly metrics: MetricsOptions | null;
  /** What differs from the learner's own defaults; checked by it. */
  readonly learnerSettings: Readonly<Record<string, unknown>>;
  readonly exploration: ExplorationSettings;
  /** What differs from the defaults of the rewards; checked by them. */
  readonly rewardSettings: unknown;
  /** Who rates without a person. */
  readonly raters: RaterSources;
  /** In which mode candidates come to serve; `undefined`: as the data directory says. */
  readonly mode: Mode | undefined;
  /** What differs from the defaults of trials; checked where they are. */
  readonly canarySettings: Readonly<Record<string, unknown>>;
  /** `null`: candidates are not judged. */
  readonly gate: GateSettings | null;
  /** Of the inference worker; `undefined`: measured. */
  readonly threads: number | undefined;
  /** Whether its idle threads spin; `undefined`: measured. */
  readonly spin: boolean | undefined;
  readonly policy: PolicyLimits;
  /** Steps make room for adapters though nothing needs it yet. */
  readonly adapters: boolean;
  /** Retired, and rejected, versions that keep their adapters; `undefined`: the default. */
  readonly keepVersions: number | undefined;
  /** What the store keeps at most. */
  readonly retention: RetentionSettings;
  readonly maxOpenRequests: number;
  readonly drainGraceMs: number;
  readonly logLevel: string;
  /** `undefined`: by where the log goes. */
  readonly logFormat: LogFormat | undefined;
  /** Whether the gRPC library may write lines of its own to standard error: where its own variable asks for them. */
  readonly libraryLog: boolean;
}

const settings = z.record(z.string(), z.unknown());

/**
 * Reads the flags; `undefined` where help is asked for.
 * @throws HoneError `INVALID_OPTIONS`
 */
export function readOptions(args: readonly string[], environment: NodeJS.ProcessEnv): ServerOptions | undefined {
  const flags = readFlags(args);
  if (flags === null) return undefined;
  const host = flags.text('host') ?? '127.0.0.1';
  const authToken = readToken(flags, environment);
  checkReach(flags, '--host', host, authToken);
  const spin = flags.text('spin');
  return {
    dataDirectory: resolve(flags.text('data') ?? 'data'),
    packageDirectory: resolve(flags.text('package') ?? join(packageFolder, 'models/tldr')),
    host,
    port: flags.number('port') ?? 50_051,
    authToken,
    insecure: authToken === undefined && !isLoopback(host),
    learner: flags.text('learner') !== 'off',
    reflection: !flags.has('no-reflection'),
    metrics: readMetrics(flags, authToken),
    learnerSettings: readLearnerSettings(flags),
    exploration: checkExploration({
      share: flags.number('explore'),
      completions: flags.number('explore-completions'),
    }),
    rewardSettings: readJsonFile(flags, 'reward-settings'),
    raters: readRaters(flags),
    mode: modes.find((mode) => mode === flags.text('mode')),
    canarySettings: readCanarySettings(flags),
    gate: readGate(flags),
    threads: flags.number('threads'),
    spin: spin === undefined ? undefined : spin === 'on',
    policy: {
      maxSequences: flags.number('max-sequences'),
      maxQueue: flags.number('max-queue'),
      maxQueueTokens: flags.number('max-queue-tokens'),
      kvMemoryBytes: flags.bytes('kv-memory'),
      prefillChunk: flags.number('prefill-chunk'),
      prefixCacheBytes: flags.bytes('prefix-cache'),
      maxLiveVersions: flags.number('max-live-versions'),
      maxStalledMs: flags.number('max-stalled-ms'),
    },
    adapters: flags.text('adapters') === 'on',
    keepVersions: flags.number('keep-versions'),
    retention: readRetention(flags),
    maxOpenRequests: flags.number('max-open-requests') ?? 1024,
    drainGraceMs: flags.number('drain-grace-ms') ?? 10_000,
    logLevel: flags.text('log-level') ?? 'info',
    logFormat: logFormats.find((format) => format === flags.text('log-format')),
    libraryLog: environment.GRPC_VERBOSITY !== undefined,
  };
}

function readRaters(flags: GivenFlags): RaterSources {
  const path = (name: 'reward-model' | 'reward-function'): string | undefined => {
    const text = flags.text(name);
    return text === undefined ? undefined : resolve(text);
  };
  const sources = {
    model: path('reward-model'),
    module: path('reward-function'),
    timeoutMs: flags.number('reward-timeout-ms'),
  };
  if (sources.timeoutMs !== undefined && sources.model === undefined && sources.module === undefined) {
    throw invalidOption(
      '--reward-timeout-ms says nothing without --reward-model or --reward-function: give one of them',
    );
  }
  return sources;
}

/** Bytes of the store unless told otherwise. */
const defaultReplayBytes = 4 * 2 ** 30;

function readRetention(flags: GivenFlags): RetentionSettings {
  const bytes = flags.bytes('max-replay-bytes') ?? defaultReplayBytes;
  return { maxBytes: bytes === 0 ? null : bytes, maxAgeMs: flags.milliseconds('max-replay-age') ?? null };
}

function checkReach(flags: GivenFlags, flag: string, host: string, authToken: string | undefined): void {
  if (isLoopback(host) || authToken !== undefined || flags.has('insecure')) return;
  throw invalidOption(`${flag} ${host} can be reached by others: give --auth-token, or --insecure to allow everybody`);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function readMetrics(flags: GivenFlags, authToken: string | undefined): MetricsOptions | null {
  const port = flags.number('metrics-port');
  const asked = flags.text('metrics-host');
  if (flags.has('no-metrics')) {
    if (port === undefined && asked === undefined) return null;
    throw invalidOption(
      '--no-metrics leaves nothing for --metrics-host and --metrics-port to say: give one or the other',
    );
  }
  const host = asked ?? '127.0.0.1';
  checkReach(flags, '--metrics-host', host, authToken);
  return {
    host,
    port: port ?? defaultMetricsPort,
    required: port !== undefined,
    // Figures hold nobody's words: whoever is on this machine may read them.
    authToken: isLoopback(host) ? undefined : authToken,
  };
}

function readToken(flags: GivenFlags, environment: NodeJS.ProcessEnv): string | undefined {
  const file = flags.text('auth-token-file');
  const token = flags.text('auth-token') ?? (file === undefined ? environment.HONE_AUTH_TOKEN : readTokenFile(file));
  if (token === undefined) return undefined;
  // What a header cannot carry could never be sent back.
  if (!/^[\x21-\x7e]{8,256}$/.test(token)) throw invalidOption('the token must be 8 to 256 printable ASCII characters');
  return token;
}

function readTokenFile(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw invalidOption(`--auth-token-file cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

/** What the file that a flag names holds; an empty object where the flag is not given. */
function readJsonFile(flags: GivenFlags, flag: 'reward-settings'): unknown {
  const path = flags.text(flag);
  if (path === undefined) return {};
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw invalidOption(`--${flag} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidOption(`--${flag}: ${path} is not JSON: ${error instanceof Error ? error.message : error}`);
  }
}

function readCanarySettings(flags: GivenFlags): Record<string, unknown> {
  const share = flags.number('canary-share');
  return { ...readObject(flags, 'canary-settings'), ...(share === undefined ? {} : { share }) };
}

function readGate(flags: GivenFlags): GateSettings | null {
  if (flags.text('gate') !== 'off') return checkGateSettings(readObject(flags, 'gate-settings'));
  if (flags.text('gate-settings') === undefined) return null;
  throw invalidOption('--gate off leaves nothing for --gate-settings to say: give one or the other');
}

/** A flag that holds a JSON object; an empty one where it is not given. */
function readObject(
  flags: GivenFlags,
  name: 'learner-settings' | 'canary-settings' | 'gate-settings',
): Record<string, unknown> {
  const text = flags.text(name) ?? '{}';
  try {
    return settings.parse(JSON.parse(text));
  } catch {
    throw invalidOption(`--${name} must be a JSON object, got ${text}`);
  }
}

function readLearnerSettings(flags: GivenFlags): Record<string, unknown> {
  const result = readObject(flags, 'learner-settings');
  for (const [flag, name] of Object.entries(learnerFlags)) {
    const value = flags.number(flag as keyof typeof learnerFlags) ?? flags.text(flag as keyof typeof learnerFlags);
    if (value !== undefined) result[name] = value;
  }
  const memoryBytes = flags.bytes('learner-memory');
  if (memoryBytes !== undefined) result.memoryBytes = memoryBytes;
  return result;
}
