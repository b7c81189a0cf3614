/** Names of models on a hub, as people write them: `owner/name[:variant][@revision]`. */

import { HoneError } from '../errors.js';

export interface ModelName {
  /** `owner/name`. */
  readonly id: string;
  /** The form of the weights, such as `q4`; undefined leaves the choice to Hone. */
  readonly variant: string | undefined;
  /** A branch, a tag or a commit; undefined stands for `main`. */
  readonly revision: string | undefined;
}

/** The revision of a name that gives none. */
export const defaultRevision = 'main';

const part = '[A-Za-z0-9_][A-Za-z0-9_.-]*';
const pattern = new RegExp(`^(${part}/${part})(?::([\\w.][\\w./-]*))?(?:@([\\w.][\\w./-]*))?$`);
const longestId = 96;

/** Parses a name; undefined if the text has not the form of one. */
export function parseModelName(text: string): ModelName | undefined {
  const [, id, variant, revision] = pattern.exec(text) ?? [];
  if (id === undefined || id.length > longestId || /--|\.\.|\.git$|[.-]$/.test(id)) return undefined;
  if ([variant, revision].some((one) => one !== undefined && !isInside(one))) return undefined;
  return { id, variant, revision };
}

/** Parses a name. @throws HoneError `INVALID_OPTIONS` if the text has not the form of one */
export function requireModelName(text: string): ModelName {
  const name = parseModelName(text);
  if (name !== undefined) return name;
  throw new HoneError(
    'INVALID_OPTIONS',
    `${JSON.stringify(text)} is no name of a model: give owner/name, owner/name:variant or owner/name:variant@revision`,
  );
}

/** Writes a name as people do. */
export function formatModelName({ id, variant, revision }: ModelName): string {
  return `${id}${variant === undefined ? '' : `:${variant}`}${revision === undefined ? '' : `@${revision}`}`;
}

/** Whether a path that came from outside stays inside the folder that it is put into. */
export function isInside(path: string): boolean {
  return (
    path.length <= 1024 &&
    !/[\\\0:]/.test(path) &&
    path.split('/').every((one) => one !== '' && one !== '.' && one !== '..')
  );
}
