/**
 * Short names of the contract's enum values: `EVENT_TYPE_SERVER_STARTED` is `server_started` in TypeScript, in JSON and
 * on the command line. One table per enum, made from the contract itself, so that a new value has its name at once.
 *
 * Protobuf's enums are open: a program of another release may send a value that this contract does not have; it arrives
 * as a number. Neither such a value nor the unspecified one has a name. The server refuses a request with a value that
 * has no name; the client passes it on as `unknown` (`plain-message.ts`).
 */

import { enumValues } from './contract.js';
import type { CheckOutcome__Output } from './generated/hone/v1/CheckOutcome.js';
import type { EventType__Output } from './generated/hone/v1/EventType.js';
import type { FeedbackStatus__Output } from './generated/hone/v1/FeedbackStatus.js';
import type { FinishReason__Output } from './generated/hone/v1/FinishReason.js';
import type { GenerationOrigin__Output } from './generated/hone/v1/GenerationOrigin.js';
import type { GenerationState__Output } from './generated/hone/v1/GenerationState.js';
import type { IgnoredBecause__Output } from './generated/hone/v1/IgnoredBecause.js';
import type { LateScores__Output } from './generated/hone/v1/LateScores.js';
import type { LearnerState__Output } from './generated/hone/v1/LearnerState.js';
import type { MetricState__Output } from './generated/hone/v1/MetricState.js';
import type { Mode__Output } from './generated/hone/v1/Mode.js';
import type { PreferenceOutcome__Output } from './generated/hone/v1/PreferenceOutcome.js';
import type { ProbeVerdict__Output } from './generated/hone/v1/ProbeVerdict.js';
import type { RaterState__Output } from './generated/hone/v1/RaterState.js';
import type { Role__Output } from './generated/hone/v1/Role.js';
import type { TrainingObstacle__Output } from './generated/hone/v1/TrainingObstacle.js';
import type { VersionOrigin__Output } from './generated/hone/v1/VersionOrigin.js';
import type { VersionState__Output } from './generated/hone/v1/VersionState.js';
import type { VersionWeights__Output } from './generated/hone/v1/VersionWeights.js';

/** `EVENT_TYPE_` of `EVENT_TYPE_UNSPECIFIED`: what the values of an enum begin with. */
type PrefixOf<Value> = Value extends `${infer Prefix}UNSPECIFIED` ? Prefix : never;

/** The short names of an enum's values, without the unspecified one's. */
export type ShortName<
  Value extends string,
  Prefix extends string = PrefixOf<Value>,
> = Value extends `${Prefix}UNSPECIFIED` ? never : Value extends `${Prefix}${infer Rest}` ? Lowercase<Rest> : never;

/** The table of one enum. */
export class EnumNames<Value extends string> {
  readonly names: readonly ShortName<Value>[];
  readonly #nameByValue = new Map<string | number, ShortName<Value>>();
  readonly #valueByName = new Map<string, Value>();

  /** @param values all values of the enum, the unspecified one first */
  constructor(values: readonly Value[]) {
    const [unspecified = '', ...others] = values;
    const prefixLength = unspecified.length - 'UNSPECIFIED'.length;
    for (const value of others) {
      const name = value.slice(prefixLength).toLowerCase() as ShortName<Value>;
      this.#nameByValue.set(value, name);
      this.#valueByName.set(name, value);
    }
    this.names = [...this.#nameByValue.values()];
  }

  toValue(name: ShortName<Value>): Value {
    return this.#valueByName.get(name) as Value;
  }

  /** The name of a value; undefined if it is unspecified or not in this contract. */
  toName(value: Value | number): ShortName<Value> | undefined {
    return this.#nameByValue.get(value);
  }

  /** Whether a text that comes from elsewhere is one of the names. */
  isName(text: string): text is ShortName<Value> {
    return this.#valueByName.has(text);
  }
}

/** The enums of the contract, as messages that were read hold them. */
interface Enums {
  readonly CheckOutcome: CheckOutcome__Output;
  readonly EventType: EventType__Output;
  readonly FeedbackStatus: FeedbackStatus__Output;
  readonly FinishReason: FinishReason__Output;
  readonly GenerationOrigin: GenerationOrigin__Output;
  readonly GenerationState: GenerationState__Output;
  readonly IgnoredBecause: IgnoredBecause__Output;
  readonly LateScores: LateScores__Output;
  readonly LearnerState: LearnerState__Output;
  readonly MetricState: MetricState__Output;
  readonly Mode: Mode__Output;
  readonly PreferenceOutcome: PreferenceOutcome__Output;
  readonly ProbeVerdict: ProbeVerdict__Output;
  readonly RaterState: RaterState__Output;
  readonly Role: Role__Output;
  readonly TrainingObstacle: TrainingObstacle__Output;
  readonly VersionOrigin: VersionOrigin__Output;
  readonly VersionState: VersionState__Output;
  readonly VersionWeights: VersionWeights__Output;
}

export type EnumName = keyof Enums;

// The types are generated from the same files as the values; a test compares the two.
const tableOf = <Name extends EnumName>(name: Name) => new EnumNames(enumValues(name) as readonly Enums[Name][]);

/** The tables, by enum. */
export const enumNames: { readonly [Name in EnumName]: EnumNames<Enums[Name]> } = {
  CheckOutcome: tableOf('CheckOutcome'),
  EventType: tableOf('EventType'),
  FeedbackStatus: tableOf('FeedbackStatus'),
  FinishReason: tableOf('FinishReason'),
  GenerationOrigin: tableOf('GenerationOrigin'),
  GenerationState: tableOf('GenerationState'),
  IgnoredBecause: tableOf('IgnoredBecause'),
  LateScores: tableOf('LateScores'),
  LearnerState: tableOf('LearnerState'),
  MetricState: tableOf('MetricState'),
  Mode: tableOf('Mode'),
  PreferenceOutcome: tableOf('PreferenceOutcome'),
  ProbeVerdict: tableOf('ProbeVerdict'),
  RaterState: tableOf('RaterState'),
  Role: tableOf('Role'),
  TrainingObstacle: tableOf('TrainingObstacle'),
  VersionOrigin: tableOf('VersionOrigin'),
  VersionState: tableOf('VersionState'),
  VersionWeights: tableOf('VersionWeights'),
};
