// A cable to a PostgreSQL server that knows where its messages begin and end, and can be cut between any two of them.
//
// Messages are numbered as they pass, in both directions and over all connections. `fault(message)` is asked about each and says
// what becomes of it: nothing (it passes), `cut` (the connection ends before it arrives), `lose` (it arrives, and nobody will
// hear of the answer), `late` (as `lose`, but it arrives after a while), `hole` (this connection carries nothing any more and
// stays open), or a number: it is so many milliseconds late.
import net from 'node:net';
import { pause } from './random.mjs';

/** So long a message under way to the server is kept back by `late`, in milliseconds. */
const LATE = 400;

/** After so long the server's system finds that nobody is at the other end of a `hole`, by its keepalive; in milliseconds. */
const KEEPALIVE = 20_000;

/** What of the bytes is whole messages. The first message of a connection has no type. */
class Framer {
  constructor(isFirstBare) {
    this.rest = Buffer.alloc(0);
    this.isBare = isFirstBare;
  }

  *take(bytes) {
    this.rest = Buffer.concat([this.rest, bytes]);
    for (;;) {
      const head = this.isBare ? 0 : 1;
      if (this.rest.length < head + 4) return;
      const length = head + this.rest.readInt32BE(head);
      if (this.rest.length < length) return;
      const message = this.rest.subarray(0, length);
      this.rest = this.rest.subarray(length);
      yield { type: this.isBare ? 'startup' : String.fromCharCode(message[0]), bytes: message };
      this.isBare = false;
    }
  }
}

/** Whether a message of the program's asks for a commit: the word is sent as a statement of its own. */
const commits = ({ type, bytes }) => type === 'P' && bytes.includes('COMMIT\0');

export class Cable {
  passed = 0;
  fault = () => undefined;
  links = new Set();

  static async to(socket) {
    const cable = new Cable();
    cable.server = net.createServer((program) => new Link(cable, program, net.connect(socket)));
    await new Promise((resolve) => cable.server.listen(0, '127.0.0.1', resolve));
    cable.port = cable.server.address().port;
    return cable;
  }

  /** Ends every connection at once. */
  cutAll() {
    this.links.forEach((link) => link.cut());
  }

  close() {
    this.cutAll();
    this.server.close();
  }
}

class Link {
  constructor(cable, program, database) {
    Object.assign(this, { cable, program, database, commit: false });
    cable.links.add(this);
    this.join(program, database, new Framer(true), 'to');
    this.join(database, program, new Framer(false), 'from');
  }

  join(source, target, framer, direction) {
    source.setNoDelay(true);
    let last = Promise.resolve();
    source.on('data', (bytes) => {
      for (const message of framer.take(bytes)) last = last.then(() => this.carry(source, target, direction, message));
    });
    const end = () => last.then(() => this.isHole || target.end());
    source.on('end', end);
    source.on('close', end);
    source.on('error', end);
  }

  async carry(source, target, direction, { type, bytes }) {
    if (this.isHole || this.isCut) return;
    if (direction === 'to' && commits({ type, bytes })) this.commit = true;
    // The program asks for a commit in a few messages; the last of them is the one after which it is done.
    const isCommit = direction === 'to' && type === 'S' && this.commit;
    if (isCommit) this.commit = false;
    const number = this.cable.passed;
    this.cable.passed += 1;
    // Ready for the next question, in the middle of a transaction.
    const isOpen = direction === 'from' && type === 'Z' && bytes[5] === 'T'.charCodeAt(0);
    const fault = this.cable.fault({ number, direction, type, isCommit, inCommit: this.commit || isCommit, isOpen });
    if (fault === 'cut') return this.cut();
    if (fault === 'hole') {
      this.isHole = true;
      setTimeout(() => this.database.destroy(), KEEPALIVE).unref();
      return undefined;
    }
    if (fault === 'lose' || fault === 'late') {
      // The program hears at once that the connection is gone; the server gets what was under way, and is left alone with it.
      this.isCut = true;
      this.program.destroy();
      if (fault === 'late') await pause(LATE);
      this.database.end(bytes);
      return undefined;
    }
    if (typeof fault === 'number') await pause(fault);
    if (!target.destroyed && !this.isCut) target.write(bytes);
    return undefined;
  }

  cut() {
    this.isCut = true;
    this.program.destroy();
    this.database.destroy();
    this.cable.links.delete(this);
  }
}
