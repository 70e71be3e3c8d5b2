// A client on npm graphql-ws, or on npm subscriptions-transport-ws for the older protocol: takes steps one after the
// other and prints what came of each. Usage: node graphql_client.mjs URL new|old STEPS, STEPS in JSON:
//   {"run": [QUERY, ...]}   operations at the same time; of each all results, or its errors
//   {"start": NAME, "query": QUERY}   a subscription; its first result, or its errors
//   {"stop": NAME}
import { createClient } from 'graphql-ws';
import subscriptionsTransport from 'subscriptions-transport-ws';
import { WebSocket } from 'ws';

const [url, protocol, steps] = [process.argv[2], process.argv[3], JSON.parse(process.argv[4])];
class Compressing extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { perMessageDeflate: { threshold: 0 } });
  }
}

let subscribe; // (query, sink) -> a function that ends it
let close;
if (protocol === 'new') {
  const client = createClient({ url, webSocketImpl: Compressing, retryAttempts: 0 });
  subscribe = (query, sink) => client.subscribe({ query }, sink);
  close = () => client.dispose();
} else {
  const client = new subscriptionsTransport.SubscriptionClient(url, { reconnect: false }, Compressing);
  subscribe = (query, sink) => {
    const subscription = client.request({ query }).subscribe(sink);
    return () => subscription.unsubscribe();
  };
  close = () => client.close();
}

// The older library hands on the error alone, without a list around it; an end of the connection is no error of GraphQL.
const told = (errors) =>
  errors?.reason !== undefined
    ? String(errors.reason)
    : [errors].flat().map(({ message, extensions, locations }) => ({ message, extensions, locations }));
const run = (query) =>
  new Promise((resolve) => {
    const results = [];
    subscribe(query, {
      next: (result) => results.push(result.errors ? { errors: told(result.errors) } : result.data),
      error: (errors) => resolve({ errors: told(errors) }),
      complete: () => resolve({ results }),
    });
  });
const active = {};
const start = (name, query) =>
  new Promise((resolve) => {
    active[name] = subscribe(query, {
      next: (result) => resolve({ first: result.data }),
      error: (errors) => resolve({ errors: told(errors) }),
      complete: () => {},
    });
  });

const seen = [];
for (const step of steps) {
  if (step.run) seen.push(await Promise.all(step.run.map(run)));
  if (step.start) seen.push(await start(step.start, step.query));
  if (step.stop) {
    active[step.stop]();
    seen.push(null);
  }
}
await close();
console.log(JSON.stringify(seen));
process.exit(0);
