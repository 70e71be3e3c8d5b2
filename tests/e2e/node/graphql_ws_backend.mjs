// A GraphQL server: over HTTP and npm graphql-ws on one port, npm subscriptions-transport-ws (the older protocol) on
// another. Prints both ports, and which fields were run when its stdin ends.
import { createServer } from 'node:http';
import { buildSchema, execute, graphql, subscribe } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import subscriptionsTransport from 'subscriptions-transport-ws';
import { WebSocketServer } from 'ws';

const ran = [];
const schema = buildSchema(`
  type Query { hello: String, search(query: String): String }
  type Mutation { add(item: String): Int }
  type Subscription { count(to: Int!): Int, forever: Int }
`);

// Yields 1 and then nothing, until whoever listens has had enough.
function forever() {
  let end;
  const ended = new Promise((resolve) => (end = () => resolve({ done: true, value: undefined })));
  let first = true;
  return {
    next: () => (first ? ((first = false), Promise.resolve({ done: false, value: { forever: 1 } })) : ended),
    return: () => (end(), ended),
    throw: () => (end(), ended),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

const note = (name, value) => (...args) => {
  ran.push(name);
  return typeof value === 'function' ? value(...args) : value;
};
async function* count({ to }) {
  for (let i = 1; i <= to; ++i) yield { count: i };
}
const roots = {
  hello: note('hello', 'world'),
  search: note('search', ({ query }) => query ?? 'nothing'),
  add: note('add', 1),
  count: note('count', count),
  forever: note('forever', forever),
};

const onHttp = async (request, response) => {
  let body = '';
  for await (const part of request) body += part;
  const { query, variables } = JSON.parse(body);
  const result = await graphql({ schema, source: query, variableValues: variables, rootValue: roots });
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(result));
};

const server = createServer(onHttp);
useServer(
  { schema, roots: { query: roots, mutation: roots, subscription: roots } },
  new WebSocketServer({ server, perMessageDeflate: { threshold: 0 } }),
);

const legacy = createServer(onHttp);
new subscriptionsTransport.SubscriptionServer(
  { schema, rootValue: roots, execute, subscribe },
  { server: legacy, perMessageDeflate: { threshold: 0 } },
);

server.listen(0, '127.0.0.1', () =>
  legacy.listen(0, '127.0.0.1', () =>
    console.log(JSON.stringify({ port: server.address().port, legacyPort: legacy.address().port })),
  ),
);
process.stdin.on('data', () => {});
process.stdin.on('end', () => {
  console.log(JSON.stringify({ ran }));
  process.exit(0);
});
