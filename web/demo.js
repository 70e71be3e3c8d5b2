// The page of `weir demo`. Nothing is made up here: a number is what the gateway said last (X-RateLimit fields of an
// answer, the data of a RATE_LIMITED message, the reason of a Close), less what the backend has echoed since.
'use strict';

const LOG_LINES_MAX = 500;
const byId = (id) => document.getElementById(id);
let socket = null;

// ---------------------------------------------------------------------------------------------- log and tally

function say(kind, text) {
  const log = byId('log');
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const line = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = new Date().toLocaleTimeString();
  line.className = kind;
  line.append(time, text);
  log.append(line);
  while (log.childElementCount > LOG_LINES_MAX) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function count(id) {
  byId(id).textContent = String(Number(byId(id).textContent) + 1);
}

// ----------------------------------------------------------------------------------------------------- meters

class Meter {
  constructor(id) {
    this.element = byId(id);
    this.limit = null;
    this.remaining = null;
    this.used = 0; // since the gateway spoke
    this.fullAt = null;
  }

  // The gateway has spoken.
  told(limit, remaining, seconds, source) {
    this.limit = limit;
    this.remaining = remaining;
    this.used = 0;
    this.fullAt = Date.now() + seconds * 1000;
    this.source = source;
    this.show();
  }

  // The backend has shown that one more was let through. Once nothing is left, that was let through earlier: a denial
  // is answered at once, and overtakes the echoes of what was sent before.
  passed() {
    if (this.remaining === 0) return;
    this.used += 1;
    this.show();
  }

  show() {
    if (this.limit === null) return;
    const wait = Math.max(0, Math.ceil((this.fullAt - Date.now()) / 1000));
    // The gateway said when its window would be over. What was used since then we do not know.
    if (wait === 0 && this.remaining !== this.limit) {
      this.remaining = this.limit;
      this.used = 0;
    }
    const left = Math.max(0, this.remaining - this.used);
    this.element.querySelector('.left').textContent = String(left);
    this.element.querySelector('.limit').textContent = String(this.limit);
    const bar = this.element.querySelector('progress');
    bar.max = this.limit;
    bar.value = left;
    const since = this.used === 0 ? '' : `, ${this.used} seen since`;
    const full = wait === 0 ? 'the window is over: ask again' : `a new window in ${wait} s`;
    this.element.querySelector('.note').textContent = `${this.source}: ${this.remaining} left${since}; ${full}`;
  }
}

const messages = new Meter('messages');
const connects = new Meter('connects');
setInterval(() => { messages.show(); connects.show(); }, 1000);

async function ask() {
  for (const [meter, path] of [[messages, '/budget/messages'], [connects, '/budget/connects']]) {
    let answer;
    try {
      answer = await fetch(path, { cache: 'no-store' });
    } catch {
      say('denied', `${path}: the gateway can't be reached`);
      return;
    }
    const field = (name) => Number(answer.headers.get(name));
    if (answer.headers.has('X-RateLimit-Limit')) {
      meter.told(field('X-RateLimit-Limit'), field('X-RateLimit-Remaining'), field('X-RateLimit-Reset'), 'X-RateLimit');
    }
    say(answer.status === 429 ? 'denied' : 'passed', `GET ${path}: ${answer.status}, ` +
      `X-RateLimit-Remaining ${answer.headers.get('X-RateLimit-Remaining')} ` +
      `of ${answer.headers.get('X-RateLimit-Limit')}` +
      (answer.status === 429 ? `, Retry-After ${answer.headers.get('Retry-After')}` : ''));
  }
}

// -------------------------------------------------------------------------------------------------- WebSocket

function setState(text, open) {
  byId('state').textContent = text;
  byId('disconnect').disabled = !open;
  byId('connect').disabled = open;
}

function received(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    say('', `received ${text}`);
    return;
  }
  if (message.type === 'chat') {
    count('echoed');
    messages.passed();
    say('passed', `echo ${message.n}: ${message.text}`);
  } else if (message.type === 'RATE_LIMITED') {
    count('denied');
    messages.told(message.data.limit, message.data.remaining, message.data.retry_after, 'RATE_LIMITED');
    say('denied', text);
  }
}

// Resolves once the fate of the connection is known: the backend said hello, or it was closed.
function open() {
  return new Promise((resolve) => {
    const opening = new WebSocket(`ws${location.protocol === 'https:' ? 's' : ''}://${location.host}/ws/chat`);
    opening.addEventListener('message', (event) => {
      if (event.data === '{"type": "hello"}') {
        count('opened');
        connects.passed();
        say('passed', 'connected: the backend says hello');
        resolve(opening);
      } else {
        received(event.data);
      }
    });
    opening.addEventListener('close', (event) => {
      if (event.code === 4029) {
        count('refused');
        if (connects.limit !== null) {
          connects.remaining = 0;
          connects.used = 0;
          connects.source = 'Close 4029';
          connects.show();
        }
      }
      say(event.code === 4029 ? 'denied' : '', `closed: code ${event.code}, reason "${event.reason}"`);
      if (opening === socket) {
        socket = null;
        setState(`closed (${event.code})`, false);
      }
      resolve(null);
    });
  });
}

async function connect() {
  if (socket !== null) return socket;
  setState('connecting', true);
  socket = await open();
  setState(socket === null ? 'refused' : 'connected', socket !== null);
  return socket;
}

async function send(texts) {
  if (await connect() === null) return;
  for (const text of texts) {
    if (socket === null) return;
    socket.send(text);
    count('sent');
  }
}

async function connectManyTimes(times) {
  for (let n = 0; n < times; n += 1) {
    const opened = await open();
    if (opened !== null) {
      const closed = new Promise((resolve) => opened.addEventListener('close', resolve));
      opened.close(1000, 'that was all');
      await closed;
    }
  }
}

// --------------------------------------------------------------------------------------------------- controls

// One thing at a time: a control is off while what it began goes on.
function control(id, action) {
  const button = byId(id);
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      await action();
    } finally {
      button.disabled = false;
      setState(byId('state').textContent, socket !== null);
    }
  });
}

control('ask', ask);
control('connect', connect);
control('disconnect', () => socket?.close(1000, 'bye'));
control('send-one', () => send(['one message']));
control('send-thirty', () => send(Array.from({ length: 30 }, (_, n) => `message ${n + 1} of 30`)));
control('connect-twelve', () => connectManyTimes(12));
byId('chat').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = byId('text').value;
  if (text === '') return;
  byId('text').value = '';
  send([text]);
});

setState('not connected', false);
ask().then(connect);
