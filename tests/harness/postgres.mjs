// A throw-away PostgreSQL server that can be stopped, killed, frozen and started again. It ends with the test process.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { atEnd, remove } from './process.mjs';
import { pause } from './random.mjs';

/** PostgreSQL does not run as root. */
const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

/** The server's programs: the newest of Debian's, or what is on the path. */
function programs() {
  const debian = '/usr/lib/postgresql';
  const versions = fs.existsSync(debian) ? fs.readdirSync(debian).filter((name) => fs.existsSync(`${debian}/${name}/bin/initdb`)) : [];
  const newest = versions.sort((a, b) => a - b).at(-1);
  if (newest) return `${debian}/${newest}/bin`;
  const found = (process.env.PATH ?? '').split(':').find((folder) => fs.existsSync(path.join(folder, 'initdb')));
  if (!found) throw new Error("PostgreSQL's server programs are missing: on Debian, apt-get install postgresql");
  return found;
}

/** Makes a folder the server's. */
export function giveAway(folder) {
  if (nobody.uid) fs.chownSync(folder, nobody.uid, nobody.gid);
  return folder;
}

/** A folder for a server; in memory where that is possible. Every write is synced all the same, as in production. */
export function serverFolder(base = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir()) {
  const folder = giveAway(fs.mkdtempSync(path.join(base, 'bursar-pg-')));
  atEnd(() => remove(folder));
  return folder;
}

export class Postgres {
  /** Makes a server and starts it. `data` and `log` (what is written ahead) are folders elsewhere, for the file systems they are on. */
  static async start({ data, log, settings = [] } = {}) {
    const server = new Postgres();
    const folder = serverFolder();
    Object.assign(server, { bin: programs(), folder, data: path.join(data ?? folder, 'data'), settings, lines: [] });
    const made = spawnSync(
      path.join(server.bin, 'initdb'),
      ['-D', server.data, '-U', 'bursar', '--auth=trust', '--no-sync', '--no-locale', '-E', 'UTF8', ...(log ? ['-X', path.join(log, 'log'), '--wal-segsize=1'] : [])],
      { ...nobody, cwd: folder, encoding: 'utf8' },
    );
    if (made.status !== 0) throw new Error(`initdb: ${made.error ?? made.stderr}`);
    atEnd(() => {
      server.child?.kill('SIGQUIT');
      server.thaw();
    });
    await server.start();
    return server;
  }

  get isRunning() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Starts it, and waits until it takes connections. Right after a kill the old processes may still be there for a moment. */
  async start() {
    for (let tries = 0; ; tries += 1) {
      if (await this.tryStart()) return;
      if (tries === 100) throw new Error(`PostgreSQL does not start:\n${this.lines.slice(-20).join('\n')}`);
      await pause(50);
    }
  }

  /** Whether it takes connections now; if not, it has ended. */
  async tryStart() {
    const settings = ['listen_addresses=', 'shared_buffers=32MB', 'max_connections=60', 'deadlock_timeout=200ms', 'dynamic_shared_memory_type=mmap', ...this.settings];
    const child = spawn(path.join(this.bin, 'postgres'), ['-D', this.data, '-k', this.folder, ...settings.flatMap((one) => ['-c', one])], {
      ...nobody, cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child = child;
    this.exited = new Promise((resolve) => child.once('exit', resolve));
    const ready = new Promise((resolve) => {
      createInterface({ input: child.stderr }).on('line', (text) => {
        this.lines.push(text);
        if (this.lines.length > 500) this.lines.shift();
        if (text.includes('database system is ready to accept connections')) resolve(true);
      });
    });
    return Promise.race([ready, this.exited.then(() => false)]);
  }

  /** `fast`: transactions are rolled back; `immediate`: nothing is tidied up; `kill`: not even that. */
  async stop(mode = 'fast') {
    this.child.kill({ fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' }[mode]);
    await this.exited;
  }

  /** The processes of the server, the first one included. */
  processes() {
    const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
    const pairs = stdout.trim().split('\n').map((line) => line.trim().split(/\s+/).map(Number));
    return [this.child.pid, ...pairs.filter(([, parent]) => parent === this.child.pid).map(([pid]) => pid)];
  }

  /** Stops all of it in the middle of whatever it does, and lets it go on. Connections are taken by the system, and nothing answers. */
  freeze() {
    this.frozen = this.processes();
    this.frozen.forEach((pid) => process.kill(pid, 'SIGSTOP'));
  }

  thaw() {
    const frozen = this.frozen ?? [];
    this.frozen = undefined;
    frozen.forEach((pid) => process.kill(pid, 'SIGCONT'));
  }

  /** The process ids of the service's sessions. */
  backends() {
    return this.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'bursar'").split('\n').filter(Boolean).map(Number);
  }

  sql(text) {
    const asked = spawnSync(path.join(this.bin, 'psql'), ['-h', this.folder, '-U', 'bursar', '-d', 'postgres', '-AtXqc', text], { encoding: 'utf8' });
    if (asked.status !== 0) throw new Error(asked.stderr);
    return asked.stdout.trim();
  }

  /** The address of a schema that is new. */
  newSchema(name) {
    this.sql(`CREATE SCHEMA ${name}`);
    return this.url(name);
  }

  url(schema) {
    return `postgres://bursar@/postgres?host=${this.folder}&schema=${schema}`;
  }

  /** The address of a schema behind a port of this machine. */
  urlAt(port, schema) {
    return `postgres://bursar@127.0.0.1:${port}/postgres?sslmode=disable&schema=${schema}`;
  }

  get socket() {
    return path.join(this.folder, '.s.PGSQL.5432');
  }
}
