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
