// Writes src/client.ts, the client that Encore generates from the endpoints: npm run client.
// With --check it writes nothing, and fails if the client is out of date: npm run client:check.
// Both need the Encore CLI: the one that ENCORE names, or the one on PATH.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const target = fileURLToPath(new URL('../src/client.ts', import.meta.url));
const encore = process.env.ENCORE || 'encore';
const checkOnly = process.argv.includes('--check');

const generated = generate();
if (!checkOnly) {
  writeFileSync(target, generated);
  console.log('wrote web/src/client.ts');
} else if (withoutVersion(generated) !== withoutVersion(readFileSync(target, 'utf8'))) {
  console.error('web/src/client.ts is out of date: run `npm --prefix web run client`');
  process.exitCode = 1;
} else {
  console.log('web/src/client.ts is current');
}

function generate() {
  const folder = mkdtempSync(join(tmpdir(), 'client-'));
  try {
    const output = join(folder, 'client.ts');
    execFileSync(encore, ['gen', 'client', '--lang=typescript', '--env=local', `--output=${output}`], {
      cwd: root,
      stdio: 'inherit',
    });
    return withoutLocalID(readFileSync(output, 'utf8'));
  } catch (error) {
    if (error.code !== 'ENOENT' || error.path !== encore) throw error;
    console.error(`the Encore CLI was not found (${encore}): https://encore.dev/docs/go/install`);
    process.exit(2);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// withoutLocalID replaces the id that the CLI makes up for each clone of an app without an id.
function withoutLocalID(source) {
  const [, id] = source.match(/-([a-z0-9-]+)\.encr\.app/) ?? [];
  const linked = readFileSync(join(root, 'encore.app'), 'utf8').includes(`"${id}"`);
  return !id || linked ? source : source.replaceAll(id, 'app-id');
}

// withoutVersion removes the version of the CLI that wrote the client.
function withoutVersion(source) {
  return source.replaceAll(/(Encore[ /])v[\w.-]+/g, '$1');
}
