// kill -9 on a file: of the service, with the sandbox dying now and then; and of both in one process.
import { KILLS, rounds } from './kill.mjs';
import { Dev, Service } from './site.mjs';

rounds('kill -9 on a file', Math.floor(KILLS * 0.3), async () => {
  const site = await Service.open();
  return { site, others: [site.sandbox] };
});

rounds('kill -9 on a file, and the sandbox with it', Math.floor(KILLS * 0.2), async () => ({ site: await Dev.open() }));
