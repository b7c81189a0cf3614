import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The folder of the tiny random package. */
export const tinyDirectory = join(
  dirname(createRequire(import.meta.url).resolve('hone-agent/package.json')),
  'test/fixtures/tiny',
);
