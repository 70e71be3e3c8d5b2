// A GraphQL server that is not ours, on any path. Usage: node graphql_backend.mjs graphql-http|apollo
// Prints its port, and that of a server beside it: GET answers which root fields it has executed, POST forgets them.
import { createServer } from 'node:http';
import { buildSchema } from 'graphql';

const schema = buildSchema(`
  type User { id: ID, name: String, friend: User }
  type Query {
    me: User
    cheap(note: String): Int
    search(q: String): Int
    searchUsers(q: String): Int
  }
  type Mutation { login(name: String): Boolean, note(text: String): Int }
`);
let executed = [];
const user = () => ({ id: '42', name: 'someone', friend: user });
const answers = { me: user, login: () => true };
for (const type of [schema.getQueryType(), schema.getMutationType()]) {
  for (const field of Object.values(type.getFields())) {
    field.resolve = () => {
      executed.push(`${type.name}.${field.name}`);
      return (answers[field.name] ?? (() => 1))();
    };
  }
}

const listen = (server) => new Promise((done) => server.listen(0, '127.0.0.1', () => done(server.address().port)));

async function serve(kind) {
  if (kind === 'graphql-http') {
    const { createHandler } = await import('graphql-http/lib/use/http');
    return listen(createServer(createHandler({ schema })));
  }
  const { ApolloServer } = await import('@apollo/server');
  const { startStandaloneServer } = await import('@apollo/server/standalone');
  const server = new ApolloServer({ schema, allowBatchedHttpRequests: true, csrfPrevention: false });
  const { url } = await startStandaloneServer(server, { listen: { host: '127.0.0.1', port: 0 } });
  return Number(new URL(url).port);
}

const port = await serve(process.argv[2]);
const record = await listen(
  createServer((request, response) => {
    if (request.method === 'POST') executed = [];
    response.end(JSON.stringify(executed));
  }),
);
console.log(JSON.stringify({ port, record }));
process.stdin.on('data', () => {});
process.stdin.on('end', () => process.exit(0));
