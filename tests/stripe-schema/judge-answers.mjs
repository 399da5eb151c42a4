// Judges answers that another program recorded: one JSON object a line on standard input, one complaint a line out.
import { createInterface } from 'node:readline';
import { judgeAnswer } from './judge.mjs';

for await (const line of createInterface({ input: process.stdin })) {
  const answer = JSON.parse(line);
  for (const complaint of judgeAnswer(answer)) console.log(`${answer.method} ${answer.pathname} ${answer.status}: ${complaint}`);
}
