// Makes a component of check.js: node build.mjs WIT OUT.wasm
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { componentize } from '@bytecodealliance/componentize-js';
import { _addPreopen } from '@bytecodealliance/preview2-shim/filesystem';

// The tool is a component itself and reads through a file system that is empty until it is given one.
_addPreopen('/', '/');
const [wit, out] = process.argv.slice(2);
const { component } = await componentize({
  sourcePath: fileURLToPath(new URL('check.js', import.meta.url)),
  witPath: resolve(wit),
  worldName: 'plugin',
  // gatehost links no wasi:http; its own import `http` needs neither.
  disableFeatures: ['http', 'fetch-event'],
});
await writeFile(out, component);
