// A service whose nodes reach their database by cables that can be cut.
import { after } from 'node:test';
import { Cable } from '../harness/cable.mjs';
import { Postgres } from '../harness/postgres.mjs';
import { Service } from './site.mjs';

let server;
const sites = [];
const cables = [];
after(async () => {
  sites.forEach((site) => site.end());
  cables.forEach((cable) => cable.close());
  await server?.stop('immediate');
});

/** Nodes that reach one schema by a cable each. */
export async function openBehindCables(schema, count, settings = {}) {
  server ??= await Postgres.start();
  const direct = server.newSchema(schema);
  const own = await Promise.all(Array.from({ length: count }, () => Cable.to(server.socket)));
  const urls = own.map(({ port }) => server.urlAt(port, schema));
  urls.tools = direct;
  const site = await Service.open({ urls, ...settings });
  sites.push(site);
  cables.push(...own);
  return { site, cables: own };
}
