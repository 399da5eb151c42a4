// Starts the program under test and ends it again, whatever becomes of the test.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const repository = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The binary under test: built once before the tests begin. */
export const bursar = process.env.BURSAR_BIN ?? path.join(process.env.CARGO_TARGET_DIR ?? path.join(repository, 'target'), 'debug', 'bursar');

const running = new Set();
const endings = [];

/** Is done when this process ends, what was asked for last first: after a failure, and when somebody has ended the test, too. */
export const atEnd = (act) => endings.push(act);

process.on('exit', () => {
  running.forEach((child) => child.kill('SIGKILL'));
  for (const act of endings.reverse()) {
    try {
      act();
    } catch (error) {
      // One that cannot be tidied up must not keep the others.
      console.error(`left behind: ${error.message}`);
    }
  }
});
// The system ends a process at these without a word, unless it listens. More than one may come: from whoever ends the test, and from
// the runner, which hears of it, too.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(128 + os.constants.signals[signal]));

/** Removes a folder; a process that was killed a moment ago may still be writing into it. */
export const remove = (folder) => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });

/** A folder that is gone when the test process ends. */
export function temporaryFolder(name) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `bursar-${name}-`));
  atEnd(() => remove(folder));
  return folder;
}

/** What has not come about after so many seconds never does: the machine may be slow, and may stand still for some of them. */
export const HANG = 90;

/** Environment without anything of the caller's that could configure the program. */
export function cleanEnvironment(extra = {}) {
  const { PATH, HOME, TMPDIR, LANG } = process.env;
  return Object.fromEntries(Object.entries({ PATH, HOME, TMPDIR, LANG, ...extra }).filter(([, value]) => value !== undefined));
}

/**
 * Runs the program until `stop()` or `kill()`. `line(test, seconds)` waits for a line of its output that
 * the function `test` accepts, and gives back what that function returned.
 */
export function start(args, { env = {}, command = bursar, cwd } = {}) {
  const child = spawn(command, args, { env: cleanEnvironment(env), cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  const lines = [];
  const watchers = new Set();
  const read = (stream) =>
    createInterface({ input: stream }).on('line', (text) => {
      lines.push(text);
      if (lines.length > 2000) lines.shift();
      watchers.forEach((watch) => watch(text));
    });
  read(child.stdout);
  read(child.stderr);
  const exited = new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: null, error }));
    child.once('exit', (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
  const end = (signal) => {
    child.kill(signal);
    return exited;
  };
  return {
    child,
    lines,
    exited,
    stop: () => end('SIGTERM'),
    interrupt: () => end('SIGINT'),
    kill: () => end('SIGKILL'),
    line(test, seconds = HANG) {
      return new Promise((resolve, reject) => {
        const give = (settle, value) => {
          watchers.delete(watch);
          clearTimeout(timer);
          settle(value);
        };
        const fail = (why) => give(reject, new Error(`${path.basename(command)} ${args.join(' ')}: ${why}\n${lines.join('\n')}`));
        const watch = (text) => {
          const found = test(text);
          if (found) give(resolve, found);
        };
        const timer = setTimeout(() => fail(`no such line within ${seconds} s`), seconds * 1000);
        watchers.add(watch);
        lines.forEach(watch);
        exited.then(({ code, signal, error }) => setImmediate(() => watchers.has(watch) && fail(`ended with ${error?.message ?? signal ?? code}`)));
      });
    },
  };
}

/** Runs a command of the program to its end. */
export function run(args, { env = {}, seconds = 300 } = {}) {
  const { status, stdout, stderr, error } = spawnSync(bursar, args, { env: cleanEnvironment(env), encoding: 'utf8', timeout: seconds * 1000 });
  if (error) throw error;
  return { status, stdout, stderr };
}

/** Asks again until the answer is truthy. */
export async function until(question, { seconds = HANG, what = 'the expected state' } = {}) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`${what} did not come about within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
