/**
 * Writes `peft/exported`, an adapter in the files that Hone exports, for PEFT to load:
 *
 *     npm run build && node dist/test/oracles/make-exported.js
 */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAdapter } from '../../src/versions/index.js';
import { exportedMeta, peftFolder, readOracleFixture } from './fixture.js';

const directory = join(peftFolder, 'exported');
await rm(directory, { recursive: true, force: true });
await writeAdapter(directory, readOracleFixture().adapter, exportedMeta);
