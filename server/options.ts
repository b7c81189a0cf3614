/** Turns flags and environment into complete, checked options. No other file of the server reads the environment. */

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { checkExploration, type ExplorationSettings } from '../src/agent/generation/exploration.js';
import { type Mode, modes } from '../src/agent/rollout/modes.js';
import { checkGateSettings, type GateSettings } from '../src/gate/settings.js';
import { isLoopback } from '../src/loopback.js';
import type { PolicyOptions } from '../src/policy/index.js';
import { recordOf } from '../src/record-schema.js';
import type { RetentionSettings } from '../src/replay/index.js';
import { cacheFolder } from './cache-folder.js';
import { installationFolder } from './installation-folder.js';
import { type LogFormat, logFormats } from './log.js';
import { type GivenFlags, invalidOption, readFlags } from './read-flags.js';

/** Flags that set one setting of the learner, with the setting's name. */
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

/** Default port of the metrics: the one of OpenTelemetry's exporters. */
export const defaultMetricsPort = 9464;

/** The policy's options that a user can set; an absent one has the policy's default. */
type PolicyLimits = Pick<
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

/** Address of the metrics. */
export interface MetricsOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Whether the user chose the port. If the default port is taken, the server starts without metrics. */
  readonly required: boolean;
  /** The token that a caller must send; `undefined`: none. */
  readonly authToken: string | undefined;
}

/** A reward model, a user's function, both or none. */
export interface RaterSources {
  /** Folder of the reward model. */
  readonly model: string | undefined;
  /** Path of the ES module with the function. */
  readonly module: string | undefined;
  /** Time limit of a batch; `undefined`: the default. */
  readonly timeoutMs: number | undefined;
}

/** Codes of the warnings about options. They are stable, for programs that read the log. */
export const warningCodes = ['NO_TOKEN', 'TOKEN_IN_CLEAR'] as const;

/** What the user should know about options that are valid. The log has it at the start. */
export interface OptionWarning {
  readonly code: (typeof warningCodes)[number];
  readonly message: string;
}

/** Complete options without contradictions. */
export interface ServerOptions {
  readonly dataDirectory: string;
  readonly packageDirectory: string;
  /** The model's file in that folder; `undefined`: it is chosen. */
  readonly modelFile: string | undefined;
  /** Bits of the linear weights; `undefined`: those of the file. */
  readonly bits: 32 | 8 | 4 | undefined;
  /** The folder of Hone's cache, for packages that are written from other forms. */
  readonly cacheDirectory: string;
  readonly host: string;
  readonly port: number;
  readonly authToken: string | undefined;
  readonly learner: boolean;
  readonly reflection: boolean;
  /** `null`: no metrics. */
  readonly metrics: MetricsOptions | null;
  /** The settings that differ from the learner's defaults. The learner checks them. */
  readonly learnerSettings: Readonly<Record<string, unknown>>;
  readonly exploration: ExplorationSettings;
  /** The content of the file with the reward settings, unchecked. */
  readonly rewardSettings: unknown;
  /** The automatic raters. */
  readonly raters: RaterSources;
  /** What is lost of the data directory and is to be gone on without, for this start. */
  readonly startWithout: 'replay' | 'versions' | undefined;
  /** The mode in which candidates come to serve; `undefined`: the one in the data directory. */
  readonly mode: Mode | undefined;
  /** The settings that differ from the defaults of trials, unchecked. */
  readonly canarySettings: Readonly<Record<string, unknown>>;
  /** `null`: candidates are not judged. */
  readonly gate: GateSettings | null;
  /** Threads of the inference worker; `undefined`: measure them. */
  readonly threads: number | undefined;
  /** Whether its idle threads spin; `undefined`: measure it. */
  readonly spin: boolean | undefined;
  readonly policy: PolicyLimits;
  /** Whether decode steps have room for adapters even if no version needs one yet. */
  readonly adapters: boolean;
  /** Number of retired versions, and of rejected ones, that keep their adapters; `undefined`: the default. */
  readonly keepVersions: number | undefined;
  /** Limits of the store. */
  readonly retention: RetentionSettings;
  readonly maxOpenRequests: number;
  readonly maxConnections: number;
  readonly keepaliveMs: number;
  readonly drainGraceMs: number;
  readonly logLevel: string;
  /** `undefined`: text on a terminal, JSON elsewhere. */
  readonly logFormat: LogFormat | undefined;
  /** Whether the gRPC library may write to standard error: if its own environment variable is set. */
  readonly libraryLog: boolean;
  readonly warnings: readonly OptionWarning[];
}

const settings = recordOf(z.string(), z.unknown());

/**
 * Reads the options; `undefined` if --help was given.
 * @throws HoneError `INVALID_OPTIONS`
 */
export function readOptions(args: readonly string[], environment: NodeJS.ProcessEnv): ServerOptions | undefined {
  const flags = readFlags(args);
  if (flags === null) return undefined;
  const host = flags.text('host') ?? '127.0.0.1';
  const authToken = readToken(flags, environment);
  checkReach(flags, '--host', host, authToken);
  const metrics = readMetrics(flags, authToken);
  const spin = flags.text('spin');
  return {
    dataDirectory: resolve(flags.text('data') ?? 'data'),
    packageDirectory: resolve(flags.text('package') ?? join(installationFolder, 'models/tldr')),
    modelFile: flags.text('model-file'),
    bits: ([32, 8, 4] as const).find((bits) => String(bits) === flags.text('bits')),
    cacheDirectory: cacheFolder(environment, homedir()),
    host,
    port: flags.number('port') ?? 50_051,
    authToken,
    learner: flags.text('learner') !== 'off',
    reflection: !flags.has('no-reflection'),
    metrics,
    learnerSettings: readLearnerSettings(flags),
    exploration: checkExploration({
      share: flags.number('explore'),
      completions: flags.number('explore-completions'),
    }),
    rewardSettings: readJsonFile(flags, 'reward-settings'),
    raters: readRaters(flags),
    startWithout: (['replay', 'versions'] as const).find((what) => what === flags.text('start-without')),
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
    maxConnections: flags.number('max-connections') ?? 1024,
    keepaliveMs: flags.number('keepalive-ms') ?? 30_000,
    drainGraceMs: flags.number('drain-grace-ms') ?? 10_000,
    logLevel: flags.text('log-level') ?? 'info',
    logFormat: logFormats.find((format) => format === flags.text('log-format')),
    libraryLog: environment.GRPC_VERBOSITY !== undefined,
    warnings: [
      ...reachWarnings('--host', host, authToken),
      ...(metrics === null ? [] : reachWarnings('--metrics-host', metrics.host, metrics.authToken)),
    ],
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
      '--reward-timeout-ms needs --reward-model or --reward-function: give one of them, or leave it out',
    );
  }
  return sources;
}

/** Default limit of the store in bytes. */
const defaultReplayBytes = 4 * 2 ** 30;

function readRetention(flags: GivenFlags): RetentionSettings {
  const bytes = flags.bytes('max-replay-bytes') ?? defaultReplayBytes;
  return { maxBytes: bytes === 0 ? null : bytes, maxAgeMs: flags.milliseconds('max-replay-age') ?? null };
}

function checkReach(flags: GivenFlags, flag: string, host: string, authToken: string | undefined): void {
  if (isLoopback(host) || authToken !== undefined || flags.has('insecure')) return;
  throw invalidOption(
    `other machines can reach ${flag} ${host}: give --auth-token, or --insecure to allow callers without a token`,
  );
}

/** Warns of what others on the network can read, or use, at an address. */
function reachWarnings(flag: string, host: string, authToken: string | undefined): OptionWarning[] {
  if (isLoopback(host)) return [];
  if (authToken === undefined) {
    const message = `everyone who can reach ${flag} ${host} can use it, because --insecure allows callers without a token`;
    return [{ code: 'NO_TOKEN', message }];
  }
  const message = `the token and all texts that pass ${flag} ${host} travel in clear, because the server speaks no TLS: put a proxy that ends TLS in front of it, or listen on 127.0.0.1 and reach it by an SSH tunnel`;
  return [{ code: 'TOKEN_IN_CLEAR', message }];
}

function readMetrics(flags: GivenFlags, authToken: string | undefined): MetricsOptions | null {
  const port = flags.number('metrics-port');
  const asked = flags.text('metrics-host');
  if (flags.has('no-metrics')) {
    if (port === undefined && asked === undefined) return null;
    throw invalidOption('--no-metrics contradicts --metrics-host and --metrics-port: leave one or the other out');
  }
  const host = asked ?? '127.0.0.1';
  checkReach(flags, '--metrics-host', host, authToken);
  return {
    host,
    port: port ?? defaultMetricsPort,
    required: port !== undefined,
    // Metrics contain no text of users, so every user of this machine may read them.
    authToken: isLoopback(host) ? undefined : authToken,
  };
}

function readToken(flags: GivenFlags, environment: NodeJS.ProcessEnv): string | undefined {
  const file = flags.text('auth-token-file');
  const token = flags.text('auth-token') ?? (file === undefined ? environment.HONE_AUTH_TOKEN : readTokenFile(file));
  if (token === undefined) return undefined;
  // A header cannot carry other characters, so no caller could send such a token.
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

/** The content of the JSON file that a flag names; an empty object if the flag is not given. */
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
  throw invalidOption('--gate off contradicts --gate-settings: leave one or the other out');
}

/** The JSON object that a flag holds; an empty object if the flag is not given. */
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
