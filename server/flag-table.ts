/**
 * The table of the server's flags. The server parses its arguments with it, and `hone serve` uses it for its help and
 * to pass the flags on.
 */

/** The kind of a flag's value. */
type FlagKind = 'switch' | 'text' | 'choice' | 'count' | 'number' | 'size' | 'duration';

export interface ServerFlag {
  /** The name without dashes. */
  readonly name: string;
  readonly kind: FlagKind;
  /** The value in help texts; a switch has none. For a choice: the words, separated by bars. */
  readonly value?: string;
  /** Smallest count. Default 0. */
  readonly min?: number;
  /** Largest count. Default 2147483647. */
  readonly max?: number;
  /** A word that may be given instead of a count. */
  readonly word?: string;
  /** The default as the help shows it. */
  readonly default?: string;
  readonly meaning: string;
}

/** The flags in the order of the help. */
export const serverFlags = [
  {
    name: 'package',
    kind: 'text',
    value: 'folder|owner/name',
    default: 'the one that comes with Hone',
    meaning: 'the model: a folder in Hugging Face layout, or owner/name[:variant][@revision] on a hub',
  },
  {
    name: 'model-file',
    kind: 'text',
    value: 'path',
    default: 'chosen',
    meaning: 'the file in the folder to serve, such as onnx/model_q4.onnx or model.safetensors; the choice is logged',
  },
  {
    name: 'bits',
    kind: 'choice',
    value: '32|8|4',
    meaning: 'bits of the linear weights: of a checkpoint (default 32), or of a float32 export, which is quantised',
  },
  {
    name: 'data',
    kind: 'text',
    value: 'folder',
    default: 'data',
    meaning: 'folder for generations, scores and versions; created if missing',
  },
  {
    name: 'start-without',
    kind: 'choice',
    value: 'replay|versions',
    meaning: 'go on without a lost store, or lost lines of the version log; for one start, refused if nothing is lost',
  },
  {
    name: 'host',
    kind: 'text',
    value: 'address',
    default: '127.0.0.1',
    meaning: 'address to listen on; one that other machines can reach needs a token',
  },
  {
    name: 'port',
    kind: 'count',
    value: 'number',
    max: 65_535,
    default: '50051',
    meaning: 'port to listen on; 0 takes a free one',
  },
  {
    name: 'auth-token',
    kind: 'text',
    value: 'token',
    meaning: 'bearer token that calls must carry (better: --auth-token-file, HONE_AUTH_TOKEN)',
  },
  { name: 'auth-token-file', kind: 'text', value: 'path', meaning: 'file that holds the token' },
  { name: 'insecure', kind: 'switch', meaning: 'listen on any address without a token' },
  { name: 'learner', kind: 'choice', value: 'on|off', default: 'on', meaning: 'whether to learn' },
  {
    name: 'threads',
    kind: 'count',
    value: 'auto|count',
    word: 'auto',
    min: 1,
    max: 256,
    default: 'auto',
    meaning: 'threads of the policy; auto measures at the first start',
  },
  {
    name: 'spin',
    kind: 'choice',
    value: 'on|off',
    default: 'measured with --threads auto',
    meaning: 'whether idle threads of the policy spin: faster on a machine of its own, slow beside a busy program',
  },
  {
    name: 'learner-threads',
    kind: 'count',
    value: 'count',
    min: 1,
    max: 256,
    default: 'the cores that the policy leaves, at least 1',
    meaning: 'threads of the learner',
  },
  {
    name: 'learner-engine',
    kind: 'choice',
    value: 'onnx|tfjs',
    default: 'onnx',
    meaning: 'engine that computes gradients: docs/learning.md',
  },
  {
    name: 'learner-device',
    kind: 'choice',
    value: 'auto|cpu|webgpu|cuda|coreml|dml',
    default: 'cpu',
    meaning: 'device on which the learner computes; auto measures: docs/devices.md',
  },
  {
    name: 'learner-memory',
    kind: 'size',
    value: 'size',
    default: 'a quarter of the memory',
    meaning:
      'largest memory of the learner, e.g. 1GiB, with mapped weights counted once; batches are split to stay below it',
  },
  {
    name: 'kv-memory',
    kind: 'size',
    value: 'size',
    default: '1GiB, or half of the free memory if that is less',
    meaning: 'memory for keys and values of running sequences, e.g. 512MB or 1GiB',
  },
  {
    name: 'max-sequences',
    kind: 'count',
    value: 'count',
    min: 1,
    default: '32',
    meaning: 'completions that run at the same time',
  },
  {
    name: 'max-queue',
    kind: 'count',
    value: 'count',
    min: 1,
    default: '256',
    meaning: 'requests that may wait for a slot',
  },
  {
    name: 'max-queue-tokens',
    kind: 'count',
    value: 'count',
    min: 1,
    default: '262144',
    meaning: 'prompt tokens that may wait for a slot',
  },
  {
    name: 'prefill-chunk',
    kind: 'count',
    value: 'tokens',
    min: 1,
    default: '128',
    meaning: 'prompt tokens computed between two decode steps',
  },
  {
    name: 'prefix-cache',
    kind: 'size',
    value: 'size',
    default: '64MiB',
    meaning: 'memory for beginnings of prompts that later prompts may share; 0 turns it off',
  },
  {
    name: 'max-stalled-ms',
    kind: 'count',
    value: 'count',
    min: 1,
    default: '60000',
    meaning: 'how long a caller may leave its stream unread before the request ends',
  },
  {
    name: 'max-live-versions',
    kind: 'count',
    value: 'count',
    min: 2,
    max: 64,
    default: '4',
    meaning: 'versions that may be in memory at the same time',
  },
  {
    name: 'max-replay-bytes',
    kind: 'size',
    value: 'size',
    default: '4GiB',
    meaning: 'size of the store at which old generations are removed; 0: no limit',
  },
  {
    name: 'max-replay-age',
    kind: 'duration',
    value: 'days|duration',
    default: 'any age',
    meaning: 'age at which generations are removed: days such as 30, or a duration such as 12h, 90m, 45s',
  },
  {
    name: 'adapters',
    kind: 'choice',
    value: 'auto|on',
    default: 'auto: if a learner runs or a version has one',
    meaning: 'whether decode steps have room for adapters; on: versions can be imported without a learner',
  },
  {
    name: 'keep-versions',
    kind: 'count',
    value: 'count',
    min: 1,
    default: '64',
    meaning: 'retired versions, and rejected ones, that keep their adapters',
  },
  {
    name: 'metrics-host',
    kind: 'text',
    value: 'address',
    default: '127.0.0.1',
    meaning: 'address of /metrics for Prometheus; one that other machines can reach needs a token',
  },
  {
    name: 'metrics-port',
    kind: 'count',
    value: 'number',
    max: 65_535,
    default: '9464; if it is taken, none',
    meaning: 'port of /metrics; 0 takes a free one',
  },
  { name: 'no-metrics', kind: 'switch', meaning: 'serve no metrics' },
  {
    name: 'max-open-requests',
    kind: 'count',
    value: 'count',
    min: 1,
    default: '1024',
    meaning: 'requests that may run or wait at the same time',
  },
  {
    name: 'max-connections',
    kind: 'count',
    value: 'count',
    min: 1,
    default: '1024',
    meaning: 'gRPC connections at the same time; further ones are closed at once',
  },
  {
    name: 'keepalive-ms',
    kind: 'count',
    value: 'count',
    min: 1000,
    default: '30000',
    meaning: 'silence after which the connection of a client that does not answer is closed',
  },
  {
    name: 'drain-grace-ms',
    kind: 'count',
    value: 'count',
    default: '10000',
    meaning: 'how long stopping waits for running requests',
  },
  { name: 'no-reflection', kind: 'switch', meaning: 'do not describe the services to gRPC tools' },
  {
    name: 'log-level',
    kind: 'choice',
    value: 'trace|debug|info|warn|error|silent',
    default: 'info',
    meaning: 'least severe level that is logged to standard error',
  },
  {
    name: 'log-format',
    kind: 'choice',
    value: 'text|json',
    default: 'text on a terminal, json elsewhere',
    meaning: 'text: lines for a person, about what matters; json: every record, for programs',
  },
  {
    name: 'mode',
    kind: 'choice',
    value: 'apprentice|shadow|canary|auto',
    default: 'the one set last, auto at first',
    meaning: 'what to do with candidates that pass the gate; survives restarts, like a mode set by hone mode',
  },
  {
    name: 'canary-share',
    kind: 'number',
    value: 'share',
    default: '0.1',
    meaning: 'share of requests that a version on trial answers',
  },
  {
    name: 'canary-settings',
    kind: 'text',
    value: 'json',
    meaning: 'any settings of trials, e.g. {"margin":0.02}',
  },
  { name: 'beta', kind: 'number', value: 'number', meaning: 'learner: strength of the pull towards the first version' },
  { name: 'learning-rate', kind: 'number', value: 'number', meaning: 'learner: step size' },
  { name: 'rank', kind: 'count', value: 'count', meaning: 'learner: rank of the adapters' },
  {
    name: 'scores-per-round',
    kind: 'count',
    value: 'count',
    meaning: 'learner: new scored generations that start a round',
  },
  {
    name: 'max-staleness',
    kind: 'count',
    value: 'count',
    meaning: 'learner: largest staleness, in versions, of generations that train',
  },
  {
    name: 'learner-settings',
    kind: 'text',
    value: 'json',
    meaning: 'any settings of the learner, e.g. {"groupSize":8}',
  },
  {
    name: 'explore',
    kind: 'number',
    value: 'share',
    default: '0',
    meaning:
      'share of requests for one completion whose prompts get more completions while the server is idle; no caller sees them',
  },
  {
    name: 'explore-completions',
    kind: 'count',
    value: 'count',
    min: 1,
    max: 64,
    default: '3',
    meaning: 'completions that are drawn for such a prompt',
  },
  {
    name: 'reward-settings',
    kind: 'text',
    value: 'file',
    default: 'all metrics and raters alike, scores from 0 to 1',
    meaning: 'JSON file with the settings of rewards: docs/feedback.md',
  },
  {
    name: 'reward-model',
    kind: 'text',
    value: 'folder',
    meaning: 'reward model (sequence classification with one label, onnx/model.onnx) that scores completions',
  },
  {
    name: 'reward-function',
    kind: 'text',
    value: 'module',
    meaning: 'JavaScript module whose default export scores completions: docs/reward-models.md',
  },
  {
    name: 'reward-timeout-ms',
    kind: 'count',
    value: 'count',
    min: 1,
    default: '30000',
    meaning: 'how long a reward model or function may take for a batch before its process is killed and restarted',
  },
  {
    name: 'gate',
    kind: 'choice',
    value: 'on|off',
    default: 'on',
    meaning: 'whether candidates are measured and judged before they serve',
  },
  {
    name: 'gate-settings',
    kind: 'text',
    value: 'json',
    meaning: 'any settings of the gate, e.g. {"kl":{"maxNats":5}}: docs/gate.md',
  },
] as const satisfies readonly ServerFlag[];

export type ServerFlagName = (typeof serverFlags)[number]['name'];

/** A flag with its value as help texts show it: `--port <number>`. */
export function flagSyntax({ name, value }: ServerFlag): string {
  return value === undefined ? `--${name}` : `--${name} <${value}>`;
}

/** A flag's meaning and default. */
export function flagHelp({ meaning, default: shown }: ServerFlag): string {
  return shown === undefined ? meaning : `${meaning} (default: ${shown})`;
}
