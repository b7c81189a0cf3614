/** Checks objects whose keys are names of somebody's own. */

import { z } from 'zod';

/**
 * An object of any keys, each of which is kept: zod's own record drops a key that is called `__proto__`.
 * @param maxIssues number of issues at which the check stops; default: none
 */
export function recordOf<Value extends z.ZodType>(
  key: z.ZodType<string>,
  value: Value,
  maxIssues = Number.POSITIVE_INFINITY,
) {
  return z
    .custom<Readonly<Record<string, unknown>>>(isRecord, { error: 'must be an object', abort: true })
    .transform((record, context) => {
      const checked: [string, z.output<Value>][] = [];
      for (const [name, entry] of Object.entries(record)) {
        const [nameResult, result] = [key.safeParse(name), value.safeParse(entry, { reportInput: true })];
        if (nameResult.success && result.success) checked.push([name, result.data]);
        if (!nameResult.success) addIssues(context, [invalidKey(name, nameResult.error)], name);
        if (!result.success) addIssues(context, result.error.issues, name);
        if (context.issues.length >= maxIssues) break;
      }
      // Unlike an assignment, this makes a property of `__proto__` too.
      return Object.fromEntries(checked);
    });
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalidKey(name: string, { issues }: z.ZodError): z.core.$ZodIssue {
  const message = issues.map((issue) => issue.message).join(' and ');
  return { code: 'invalid_key', origin: 'record', issues, message, path: [], input: name };
}

/** Adds the issues of an entry to those of its list or record. @returns how many there are */
export function addIssues(
  context: z.core.$RefinementCtx,
  issues: readonly z.core.$ZodIssue[],
  place: PropertyKey,
): number {
  for (const issue of issues) {
    context.issues.push({ ...issue, path: [place, ...issue.path], input: issue.input } as z.core.$ZodRawIssue);
  }
  return context.issues.length;
}
