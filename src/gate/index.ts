export { type EvidenceOptions, gatherEvidence } from './evidence.js';
export { findNotFinite } from './finite.js';
export { createGate } from './gate.js';
export { GatePace, type PaceChange, type PaceStatus } from './pace.js';
export {
  type Arm,
  decide,
  evidence,
  isSequentialState,
  nothingObserved,
  observe,
  type SequentialDecision,
  type SequentialState,
} from './sequential-test.js';
export { checkGateSettings, type GateSettings, type GateSettingsInput } from './settings.js';
export type {
  CheckName,
  CheckResult,
  Evidence,
  LoggedEvidence,
  PromptEvidence,
  SampleFigures,
  Verdict,
} from './types.js';
export { checkNames, describeVerdict, judge } from './verdict.js';
