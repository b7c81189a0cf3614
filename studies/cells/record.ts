/** Writes the results of a study into `studies/results`: a JSON file with figures and cells, and the plots. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { CellReport } from './cell-report.js';

interface RecordOptions {
  readonly study: string;
  readonly mode: string;
  /** The command that made the results. */
  readonly command: string;
  readonly folder: string;
  readonly date?: Date;
}

/** Writes `<study>-<mode>.json` and `<study>-<mode>-<plot>.svg`. Returns the paths. */
export function recordReport(report: CellReport, options: RecordOptions): string[] {
  const { study, mode, command, folder, date = new Date() } = options;
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${study}-${mode}.json`);
  const { title, rows, missing, cells } = report;
  const head = { study, mode, title, command, date: date.toISOString().slice(0, 10), machine: describeMachine() };
  const plots = Object.entries(report.plots).map(([name, svg]) => {
    const plotPath = join(folder, `${study}-${mode}-${name}.svg`);
    writeFileSync(plotPath, `${svg}\n`);
    return plotPath;
  });
  // Each cell is on its own line, so that a changed cell is a changed line.
  const lines = cells.map((cell) => `    ${JSON.stringify(cell)}`).join(',\n');
  const rest = JSON.stringify({ ...head, aggregates: rows, missing }, null, 2).replace(/\n\}$/, '');
  writeFileSync(path, `${rest},\n  "cells": [\n${lines}\n  ]\n}\n`);
  return [path, ...plots];
}

function describeMachine(): Record<string, string | number> {
  const require = createRequire(import.meta.url);
  const runtime = JSON.parse(readFileSync(require.resolve('onnxruntime-node/package.json'), 'utf8')) as {
    readonly version: string;
  };
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memory_gb: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    onnxruntime: runtime.version,
  };
}
