export type { CheckName, CheckResult, Verdict } from './types.js';
