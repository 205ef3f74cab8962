// Writes the TypeScript bindings of the WIT directory argv[2] into the directory argv[3].
import { generateGuestTypes, writeFiles } from '@bytecodealliance/jco-transpile';
import { _addPreopen } from '@bytecodealliance/preview2-shim/filesystem';

const [wit, outDir] = process.argv.slice(2);
// The generator is a component itself and reads through a file system that is empty until it is given one.
_addPreopen('/', '/');
await writeFiles(await generateGuestTypes(wit, { worldName: 'plugin', outDir }));
