/**
 * The TF.js of the tests: the plain JavaScript backend of the development dependency. `HONE_TFJS_BACKEND` and
 * `HONE_TFJS_FOLDER` (a folder whose node_modules holds the packages) choose another backend for the same tests.
 */

import {
  type OpenedTfjs,
  openTfjs,
  type TfjsBackend,
  type TfjsBackendOptions,
} from '../../src/learner/engine/tfjs/backend.js';

const { HONE_TFJS_BACKEND: backend = 'cpu', HONE_TFJS_FOLDER: folder } = process.env;

export const testTfjsOptions: TfjsBackendOptions = {
  backend: backend as TfjsBackend,
  ...(folder === undefined ? {} : { folder }),
  threads: 1,
};

export const openTestTfjs = (): Promise<OpenedTfjs> => openTfjs(testTfjsOptions);
