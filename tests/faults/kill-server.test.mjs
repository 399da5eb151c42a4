// kill -9 on PostgreSQL: of one of two nodes while the other serves, or of both.
import { after } from 'node:test';
import { Postgres } from '../harness/postgres.mjs';
import { KILLS, rounds } from './kill.mjs';
import { Service } from './site.mjs';

let server;
after(() => server?.stop('immediate'));

rounds('kill -9 on PostgreSQL, one of two nodes or both', Math.ceil(KILLS * 0.5), async (number) => {
  server ??= await Postgres.start();
  const url = server.newSchema(`kill_${number}`);
  return { site: await Service.open({ urls: [url, url] }) };
});
