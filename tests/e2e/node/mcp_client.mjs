// A client of MCP's TypeScript SDK. Usage: node mcp_client.mjs http|sse URL STEPS [HEADERS]
// STEPS is a list of [operation, argument]; prints for each, and for connecting, {result} or {error}.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [kind, url, steps, headers] = process.argv.slice(2);
const requestInit = { headers: JSON.parse(headers ?? '{}') };
const Transport = kind === 'sse' ? SSEClientTransport : StreamableHTTPClientTransport;
const transport = new Transport(new URL(url), { requestInit });
const client = new Client({ name: 'tests', version: '1' }, { capabilities: { roots: { listChanged: true } } });
client.onerror = () => {}; // what a step throws is reported with the step
const options = { timeout: 20000 };
const operations = {
  tool: (name) => client.callTool({ name, arguments: {} }, undefined, options),
  resource: (uri) => client.readResource({ uri }, options),
  prompt: (name) => client.getPrompt({ name }, options),
  tools: () => client.listTools({}, options),
  resources: () => client.listResources({}, options),
  prompts: () => client.listPrompts({}, options),
  ping: () => client.ping(options),
  notify: () => client.sendRootsListChanged(),
  end: () => transport.terminateSession(),
};

const told = [];
async function attempt(what) {
  try {
    told.push({ result: (await what()) ?? null });
  } catch (error) {
    told.push({ error: { name: error.constructor.name, message: error.message, code: error.code, data: error.data } });
  }
}
await attempt(() => client.connect(transport, options));
if (!told[0].error) {
  for (const [operation, argument] of JSON.parse(steps)) await attempt(() => operations[operation](argument));
}
console.log(JSON.stringify(told));
process.exit(0);
