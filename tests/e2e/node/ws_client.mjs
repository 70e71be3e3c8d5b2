// A client on npm ws: sends COUNT compressed messages one after the other, each after the answer to the last, and
// prints the answers and what was negotiated. Usage: node ws_client.mjs URL COUNT
import { WebSocket } from 'ws';

const [url, count] = [process.argv[2], Number(process.argv[3])];
const socket = new WebSocket(url, { perMessageDeflate: { threshold: 0 } });
const answers = [];
const text = (n) => JSON.stringify({ n, words: 'the same words again and again '.repeat(20) });
const finish = (extra) => {
  console.log(JSON.stringify({ answers, extensions: socket.extensions, ...extra }));
  process.exit(0);
};
socket.on('open', () => socket.send(text(0)));
socket.on('message', (data) => {
  answers.push(JSON.parse(data.toString()));
  if (answers.length < count) socket.send(text(answers.length));
  else socket.close(1000, 'done');
});
socket.on('close', (code, reason) => finish({ code, reason: reason.toString() }));
socket.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
