/**
 * `npm run study -- bandit|tldr|online|online-settings [options]`. `--help` after a study lists its options.
 *
 * Results go to standard output: a table, or with --json one line of JSON, or with --markdown a table for the README.
 * Progress goes to standard error. The exit code is 1 if the study reports a failure.
 */

import { Command } from 'commander';
import { banditStudy } from './bandit/bandit.js';
import { addStudyCommand } from './cells/cell-command.js';
import { onlineStudy } from './online/online.js';
import { onlineSettingsStudy } from './online/online-settings.js';
import { tldrStudy } from './tldr/tldr.js';

const program = new Command('study').description('Measures how well the objective and the whole loop learn.');
for (const study of [banditStudy, tldrStudy, onlineStudy, onlineSettingsStudy]) addStudyCommand(program, study);
await program.parseAsync();
