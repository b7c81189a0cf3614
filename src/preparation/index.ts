export { preparePackage } from './prepare-package.js';
export type { PreparedPackage, PrepareOptions } from './prepared-package.js';
