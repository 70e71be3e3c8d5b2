// An MCP server of the TypeScript SDK: /mcp with sessions and event streams, /json without sessions and with JSON
// answers, /sse and /messages for the transport of 2024-11-05. Prints its port, and that of a server beside it: GET
// answers what it has executed, GET /say has every session told something, POST forgets.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';

let executed = [];
const transports = new Map(); // by session
const servers = new Set();

function makeServer() {
  const capabilities = { tools: {}, resources: {}, prompts: {}, logging: {} };
  const server = new Server({ name: 'tests', version: '1' }, { capabilities });
  const handle = (schema, what, answer) =>
    server.setRequestHandler(schema, (request) => {
      executed.push(what(request.params ?? {}));
      return answer(request.params ?? {});
    });
  handle(types.CallToolRequestSchema, (p) => `tool:${p.name}`, (p) => ({
    content: [{ type: 'text', text: `did ${p.name}` }],
  }));
  handle(types.ReadResourceRequestSchema, (p) => `resource:${p.uri}`, (p) => ({
    contents: [{ uri: p.uri, text: 'text' }],
  }));
  handle(types.GetPromptRequestSchema, (p) => `prompt:${p.name}`, (p) => ({
    messages: [{ role: 'user', content: { type: 'text', text: p.name } }],
  }));
  handle(types.ListToolsRequestSchema, () => 'tools', () => ({
    tools: [{ name: 'search', inputSchema: { type: 'object' } }],
  }));
  handle(types.ListResourcesRequestSchema, () => 'resources', () => ({ resources: [] }));
  handle(types.ListPromptsRequestSchema, () => 'prompts', () => ({ prompts: [] }));
  server.setNotificationHandler(types.RootsListChangedNotificationSchema, () => executed.push('notified'));
  servers.add(server);
  server.onclose = () => servers.delete(server);
  return server;
}

async function streamable(request, response) {
  let transport = transports.get(request.headers['mcp-session-id']);
  if (!transport) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => transports.set(id, transport),
      onsessionclosed: (id) => executed.push('session ended') && transports.delete(id),
    });
    await makeServer().connect(transport);
  }
  await transport.handleRequest(request, response);
}

async function stateless(request, response) {
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
  const server = makeServer();
  response.on('close', () => server.close());
  await server.connect(transport);
  await transport.handleRequest(request, response);
}

async function openSse(request, response) {
  const transport = new SSEServerTransport('/messages', response);
  transports.set(transport.sessionId, transport);
  await makeServer().connect(transport);
}

async function postSse(request, response) {
  const session = new URL(request.url, 'http://x').searchParams.get('sessionId');
  const transport = transports.get(session);
  if (transport) await transport.handlePostMessage(request, response);
  else response.writeHead(404).end();
}

const doors = { '/mcp': streamable, '/json': stateless, '/sse': openSse, '/messages': postSse };
const listen = (server) => new Promise((done) => server.listen(0, '127.0.0.1', () => done(server.address().port)));
const port = await listen(
  createServer((request, response) => {
    const door = doors[new URL(request.url, 'http://x').pathname];
    if (!door) return response.writeHead(404).end();
    door(request, response).catch((error) => {
      console.error(error);
      response.destroy();
    });
  }),
);
const record = await listen(
  createServer(async (request, response) => {
    if (request.method === 'POST') executed = [];
    if (request.url.startsWith('/say')) {
      const data = new URL(request.url, 'http://x').searchParams.get('text');
      for (const server of servers) await server.sendLoggingMessage({ level: 'info', data }).catch(() => {});
    }
    response.end(JSON.stringify(executed));
  }),
);
console.log(JSON.stringify({ port, record }));
process.stdin.on('data', () => {});
process.stdin.on('end', () => process.exit(0));
