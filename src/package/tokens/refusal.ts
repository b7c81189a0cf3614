/** Errors about a tokenizer that Hone does not read. Whoever loads the file adds its path. */

import { HoneError } from '../../errors.js';

export const downloadAgain = 'download the file again';

export const useAnotherTokenizer = 'serve a model with another tokenizer; docs/models.md lists what Hone reads';

/** Returns an error with problem and remedy. */
export function unusable(problem: string, remedy: string = useAnotherTokenizer): HoneError {
  return new HoneError('PACKAGE_INVALID', `${problem}; ${remedy}`);
}

/** Returns the error for a step of the tokenizer, named as in the file, that would have to be guessed. */
export function unknownStep(field: string, what: string): HoneError {
  return unusable(`${field} is ${what}, which Hone does not read`);
}
