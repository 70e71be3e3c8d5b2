// A backend on npm ws with permessage-deflate: echoes, records, and prints what it saw when its stdin ends.
import { WebSocketServer } from 'ws';

const messages = [];
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  perMessageDeflate: { threshold: 0 },
});
server.on('connection', (socket) => {
  socket.on('message', (data, binary) => {
    messages.push(data.toString('latin1'));
    socket.send(data, { binary });
  });
  socket.on('error', () => {});
});
server.on('listening', () => console.log(JSON.stringify({ port: server.address().port })));
process.stdin.on('data', () => {});
process.stdin.on('end', () => {
  console.log(JSON.stringify({ messages }));
  process.exit(0);
});
