export type { Proof } from './proof.js';
export { type ProveOptions, provePackage } from './prove-package.js';
