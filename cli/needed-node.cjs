/**
 * Reads from `engines` in package.json which versions of Node can run Hone. The file is written by hand in JavaScript
 * of 2015, so that a Node of any age can run it.
 */
'use strict';

const fs = require('fs');
const path = require('path');

const manifest = JSON.parse(fs.readFileSync(path.join(__dirname, '../package.json'), 'utf8'));

/** The alternatives of `engines`: `^22.18.0` (that major version only) or `>=24.0.0`. */
const alternatives = manifest.engines.node.split('||').map((text) => {
  const [, operator, lowest] = /^\s*(\^|>=)(\d+\.\d+\.\d+)\s*$/.exec(text);
  return { operator, lowest };
});

function compare(a, b) {
  const place = a.findIndex((part, i) => part !== b[i]);
  return place < 0 ? 0 : a[place] - b[place];
}

/** Whether Hone runs on a version such as `22.18.0`. */
function isSupported(version) {
  const found = version.split('.').map(Number);
  return alternatives.some(({ operator, lowest }) => {
    const wanted = lowest.split('.').map(Number);
    return compare(found, wanted) >= 0 && (operator === '>=' || found[0] === wanted[0]);
  });
}

/** The versions in words: `Node 22.18 or a later 22, or Node 24.0 or newer`. */
const neededNode = alternatives
  .map(({ operator, lowest }) => {
    const [major, minor] = lowest.split('.');
    return `Node ${major}.${minor} or ${operator === '^' ? `a later ${major}` : 'newer'}`;
  })
  .join(', or ');

module.exports = { isSupported, neededNode };
