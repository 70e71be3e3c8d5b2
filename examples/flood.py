#!/usr/bin/env python3
"""Shows what a limited client sees: sends messages down one WebSocket, or opens many, and says how each ended.

    flood.py ws://127.0.0.1:8080/ws/chat/ --messages 25 --text '{"text": "hello"}'
    flood.py ws://127.0.0.1:8080/ws/chat/ --opens 12

Needs the package websockets: python3-websockets in Debian, or `pip install websockets`.
"""

import argparse
import asyncio
from collections import Counter

import websockets

SILENCE_SECONDS = 2  # an application need not answer every message


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--messages", type=int, default=0, help="so many messages down one WebSocket")
    parser.add_argument("--opens", type=int, default=0, help="so many WebSockets, one after the other, that stay open")
    parser.add_argument("--text", default='{"text": "hello"}', help="the message")
    parser.add_argument("--first", help="a message to begin with, such as one that joins a channel")
    parser.add_argument("--until", default="", help="the others follow when a message with this text has come")
    parser.add_argument("--header", action="append", default=[], help="such as 'Cookie: sessionid=...'; may stand several times")
    parser.add_argument("--subprotocol", action="append", default=[], help="to offer; may stand several times")
    return parser.parse_args()


def connect(asked):
    headers = [tuple(part.strip() for part in header.split(":", 1)) for header in asked.header]
    name = "extra_headers" if int(websockets.__version__.split(".")[0]) < 14 else "additional_headers"
    return websockets.connect(asked.url, subprotocols=asked.subprotocol or None, **{name: headers})


def is_denial(message):
    return isinstance(message, str) and "rate_limited" in message.lower()


def say_close(closed):
    frame = closed.rcvd
    print(f"closed: {frame.code} {frame.reason}" if frame else "closed: without a Close frame")


async def send_messages(asked):
    answers = denials = 0
    last_answer = last_denial = None
    async with connect(asked) as socket:
        try:
            if asked.first:
                await socket.send(asked.first)
                while asked.until not in await asyncio.wait_for(socket.recv(), SILENCE_SECONDS):
                    pass
            for _ in range(asked.messages):
                await socket.send(asked.text)
            while answers + denials < asked.messages:
                message = await asyncio.wait_for(socket.recv(), SILENCE_SECONDS)
                if is_denial(message):
                    denials, last_denial = denials + 1, message
                else:
                    answers, last_answer = answers + 1, message
        except asyncio.TimeoutError:
            pass
        except websockets.ConnectionClosed as closed:
            say_close(closed)
    print(f"{asked.messages} sent, {answers} answered, {denials} denied")
    for word, message in (("answer", last_answer), ("denial", last_denial)):
        if message is not None:
            print(f"last {word}: {message}")


async def open_many(asked):
    ends, sockets = Counter(), []
    for _ in range(asked.opens):
        try:
            socket = await connect(asked)
            sockets.append(socket)
            await (await socket.ping())  # a WebSocket that was opened to be closed does not answer
            ends["open"] += 1
        except websockets.ConnectionClosed as closed:
            ends[f"closed: {closed.rcvd.code} {closed.rcvd.reason}" if closed.rcvd else "closed"] += 1
        except websockets.InvalidHandshake as refused:
            ends[f"refused: {refused}"] += 1
    for end, count in ends.items():
        print(f"{count} {end}")
    for socket in sockets:
        await socket.close()


if __name__ == "__main__":
    wanted = options()
    if wanted.opens:
        asyncio.run(open_many(wanted))
    if wanted.messages:
        asyncio.run(send_messages(wanted))
