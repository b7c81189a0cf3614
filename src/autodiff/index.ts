export { addDetach, addTokenLogProbability, expandComposites } from './composites.js';
export { appendGradients } from './reverse.js';
export { gradientRules } from './rules/index.js';
