export { addDetach, addTokenLogProbability, expandComposites, fuseSwiGlu } from './composites.js';
export { appendGradients, checkGradients } from './reverse.js';
